# SPDX-License-Identifier: Apache-2.0
"""
Seal a channel over an open network: both ends prove that they know a key, then every record is authenticated.

The handshake is three lines. The end that listens sends ``madctl 1 NONCE``; the end that dials answers with JSON: its
``node``, ``name``, ``nonce`` and ``proof``; the first end sends its own proof. Neither sends the key, and neither
learns anything that would help it to answer another handshake. Then follow records: a length, a MAC over the direction,
the record's number and its bytes, and the bytes. They are not encrypted: nothing secret may be sent. Pure; private to
the collection.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from typing import Any, Dict, Iterator, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire

KEY_BYTES = 32
# The longest line of a handshake, and the most bytes of one record.
LINE_BYTES, RECORD_BYTES = 1 << 10, 1 << 18
_GREETING = re.compile(r"madctl 1 ([0-9a-f]{64})")
_NONCE = re.compile(r"[0-9a-f]{64}")
_MAC_BYTES = 32
_HEAD_BYTES = 4 + _MAC_BYTES


def nonce() -> str:
    """Return a new nonce, 64 hexadecimal digits."""
    return secrets.token_hex(32)


def greeting(own: str) -> bytes:
    """Return the first line of a handshake."""
    return b"madctl 1 %s\n" % own.encode()


def greeted(line: bytes) -> str:
    """
    Return the nonce in a first line.

    Raises:
        WireError: If it is something else.
    """
    found = _GREETING.fullmatch(line.decode("ascii", "replace"))
    if found is None:
        raise wire.WireError("not an answer of madctl: %r" % line[:80])
    return found[1]


def _mac(key: bytes, *parts: str) -> str:
    return hmac.new(key, json.dumps(parts).encode(), hashlib.sha256).hexdigest()


class Introduction(NamedTuple):
    """The end that dials: the number and the name of its node, and its nonce."""

    node: int
    name: str
    nonce: str


def introduction(key: bytes, theirs: str, own: Introduction) -> bytes:
    """Return the second line of a handshake, for the nonce of the first."""
    proof = _mac(key, "dials", theirs, own.nonce, str(own.node), own.name)
    return json.dumps({**own._asdict(), "proof": proof}).encode() + b"\n"


def introduced(key: bytes, own: str, line: bytes) -> Introduction:
    """
    Return who sent the second line of a handshake.

    Raises:
        WireError: If it is not such a line, or its sender does not know the key.
    """
    said = wire.parse(line)
    found, proof = _introduction(said), said.get("proof")
    if found is None or not isinstance(proof, str):
        raise wire.WireError("not an introduction: %r" % line[:80])
    expected = _mac(key, "dials", own, found.nonce, str(found.node), found.name)
    if not hmac.compare_digest(expected.encode(), proof.encode()):
        raise wire.WireError("it does not know the key")
    return found


def _introduction(said: Dict[str, Any]) -> Optional[Introduction]:
    node, name, given = said.get("node"), said.get("name"), said.get("nonce")
    if type(node) is int and isinstance(name, str) and isinstance(given, str) and _NONCE.fullmatch(given):
        return Introduction(node, name, given)
    return None


def proof(key: bytes, own: str, theirs: str) -> bytes:
    """Return the third line of a handshake: the proof of the end that listens."""
    return _mac(key, "listens", own, theirs).encode() + b"\n"


def is_proof(key: bytes, theirs: str, own: str, line: bytes) -> bool:
    """Return whether the end that listens knows the key."""
    return hmac.compare_digest(proof(key, theirs, own).strip(), line)


class Keys(NamedTuple):
    """The keys of one connection: one for what the end that listens sends, one for what the end that dials sends."""

    listens: bytes
    dials: bytes


def keys(key: bytes, of_listener: str, of_dialler: str) -> Keys:
    """Derive the keys of a connection from both nonces, so that no record fits another connection."""
    return Keys(*(bytes.fromhex(_mac(key, way, of_listener, of_dialler)) for way in ("to dialler", "to listener")))


def _record_mac(key: bytes, number: int, data: bytes) -> bytes:
    return hmac.new(key, number.to_bytes(8, "big") + data, hashlib.sha256).digest()


class Sealer:
    """Turns bytes into records, in order."""

    def __init__(self, key: bytes) -> None:
        self._key, self._number = key, 0

    def seal(self, data: bytes) -> bytes:
        """Return bytes as records."""
        made = bytearray()
        for at in range(0, len(data), RECORD_BYTES):
            piece = data[at : at + RECORD_BYTES]
            made += len(piece).to_bytes(4, "big") + _record_mac(self._key, self._number, piece) + piece
            self._number += 1
        return bytes(made)


class Opener:
    """Takes records, however their bytes arrive."""

    def __init__(self, key: bytes) -> None:
        self._key, self._number = key, 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """
        Take bytes and yield the content of every record that is complete.

        Raises:
            WireError: If a record is too long, forged, repeated, or out of order.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD_BYTES:
            size = int.from_bytes(self._buffer[:4], "big")
            if not 0 < size <= RECORD_BYTES:
                raise wire.WireError("a record of %d bytes" % size)
            if len(self._buffer) < _HEAD_BYTES + size:
                return
            mac, piece = bytes(self._buffer[4:_HEAD_BYTES]), bytes(self._buffer[_HEAD_BYTES : _HEAD_BYTES + size])
            if not hmac.compare_digest(mac, _record_mac(self._key, self._number, piece)):
                raise wire.WireError("a record is not authentic")
            self._number += 1
            del self._buffer[: _HEAD_BYTES + size]
            yield piece
