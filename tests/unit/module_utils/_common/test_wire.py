# SPDX-License-Identifier: Apache-2.0
"""Frames, however they arrive, and what is not one."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire

FRAMES = [({"event": "a"}, b""), ({"event": "log", "bytes": 3}, b"x\ny"), ({"event": "b"}, b"")]
DATA = b'{"event": "a"}\n{"event": "log", "bytes": 3}\nx\ny{"event": "b"}\n'


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_frames_come_whole_however_they_are_cut(size):
    decoder = wire.Decoder()
    pieces = [DATA[at : at + size] for at in range(0, len(DATA), size)]

    assert [frame for piece in pieces for frame in decoder.feed(piece)] == FRAMES
    assert decoder.rest == b""


@pytest.mark.parametrize("size", [-1, 1.0, True, "1", None, wire.MAX_PAYLOAD_BYTES + 1])
def test_a_frame_of_an_invalid_size_is_refused(size):
    with pytest.raises(wire.WireError, match="invalid header"):
        list(wire.Decoder().feed(wire.encode({"event": "log", "bytes": size})))


def test_a_frame_that_has_begun_is_left():
    decoder = wire.Decoder()

    assert list(decoder.feed(DATA[:-2])) == FRAMES[:2]
    assert decoder.rest
