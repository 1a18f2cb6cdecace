# SPDX-License-Identifier: Apache-2.0
"""What a node may send as its part of a run, and what it must not."""

import contextlib
import gzip
import io
import os
import re
import sys
import tarfile
from importlib.util import MAGIC_NUMBER

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import fetching, streams, unpacking
from ansible_collections.madctl.multinode.plugins.module_utils._runs import packing
from ansible_collections.madctl.multinode.plugins.module_utils._ways import local, way
from tests import hostile

RUN = {"run_id": "20261129-120000-1a2b3c4d"}
HERE = local.Local("node1", sys.executable)
# Stands for a node's agent: says the first word as it should, and then, to whatever is asked, what it likes.
_NODE = """
import os, sys
before, answer, first = sys.argv[1:]
sys.stdout.buffer.write(open(before, "rb").read() + ("\\n%s\\n" % first).encode())
sys.stdout.buffer.flush()
asked = b""
while b'"become"' not in asked:
    asked += os.read(0, 1 << 16)
sys.stdout.buffer.write(b'N{"archive": true}\\n' + open(answer, "rb").read())
sys.stdout.buffer.flush()
"""


class Node(local.Local):
    """The way to a node that answers as it likes."""

    def __init__(self, place, answer, before=b"", last=""):
        super().__init__("node1", sys.executable)
        place.mkdir()
        for name, data in (("before", before), ("answer", answer)):
            (place / name).write_bytes(data)
        self._argv = [sys.executable, "-c", _NODE + last, place / "before", place / "answer"]

    def start(self, command, seconds=None):
        mark = re.search(r"[0-9a-f]{16}", command)[0]
        return way.Child([*self._argv, f"{mark} {MAGIC_NUMBER.hex()}"])


def archive_out_of_the_directory():
    """Build the archive published for CVE-2025-4517: links too long to be followed to their end."""
    text = io.BytesIO()
    long, steps, path = "d" * 247, "abcdefghijklmnop", ""
    with tarfile.open(fileobj=text, mode="w:gz") as archive:

        def add(name, kind, target="", data=b""):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size, entry.mode = kind, target, len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))

        for step in steps:
            add(path + long, tarfile.DIRTYPE)
            add(path + step, tarfile.SYMTYPE, long)
            path += long + "/"
        link = "/".join(steps) + "/" + "l" * 254
        add(link, tarfile.SYMTYPE, "../" * len(steps))
        add("escape", tarfile.SYMTYPE, link + "/../../outside")
        add("flaglink", tarfile.LNKTYPE, "escape/flag")
        add("flaglink", tarfile.REGTYPE, data=b"owned")
        add("escape/newfile", tarfile.REGTYPE, data=b"owned")
    return text.getvalue()


@pytest.fixture
def outside(tmp_path):
    """A directory beside the one that a node's files go to."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "flag").write_text("ours")
    return place


def test_no_archive_leads_out_of_the_directory(tmp_path, outside):
    node = Node(tmp_path / "node", archive_out_of_the_directory())

    changed, why, _ = fetching.from_node(node, RUN, str(tmp_path / "to" / "node1"), 1 << 20)

    assert [path.name for path in outside.iterdir()] == ["flag"] and (outside / "flag").read_text() == "ours"
    assert not changed and "archive" in why
    assert list((tmp_path / "to").iterdir()) == []


FILE = {"file": "a", "time": 0}
END = {"end": True}


def archive(*frames):
    """Pack frames: headers, or pairs of a header and bytes."""
    pairs = [frame if isinstance(frame, tuple) else (frame, b"") for frame in frames]
    return gzip.compress(b"".join(wire.encode(*pair) for pair in pairs))


def written(place):
    """Everything below a directory."""
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


def unpack(data, place, size=1 << 20, piece=1 << 16):
    pieces = (data[at : at + piece] for at in range(0, len(data), piece))
    return unpacking.unpack(lambda: next(pieces, b""), str(place), size)


NAMES = {
    "absolute": "/tmp/x",
    "upwards": "../x",
    "upwards further down": "a/../../x",
    "this directory": ".",
    "nothing": "",
    "nothing within": "a//x",
    "nothing at the end": "x/",
    "a parent that nobody made": "b/x",
    "NUL": "x\0",
    "surrogate": "x\udcff",
    "long": "x" * 256,
    "long in bytes": "é" * 128,
    "deep": "/".join("a" * 65),
    "no text": ["a"],
    "a number": 1,
    **{f"control: {kind}": text for kind, text in hostile.LANGUAGES.items() if not hostile.is_harmless(text)},
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("kind", [{"directory": None}, {"file": None, "time": 0}], ids=["directory", "file"])
def test_a_name_is_that_of_something_new_below_the_directory(tmp_path, kind, name):
    place = tmp_path / "place"
    place.mkdir()
    frame = {key: name if value is None else value for key, value in kind.items()}
    with pytest.raises(streams.Refused):
        unpack(archive({"directory": "a"}, frame, END), place)
    assert written(tmp_path) == ["place", "place/a"]


WHOLE = archive(FILE, END)
ODD = {
    "nothing": b"",
    "no gzip": b"text",
    "nothing in it": gzip.compress(b""),
    "no end": archive(FILE),
    "cut": WHOLE[:-9],
    "no check sum": WHOLE[:-8] + b"\0" * 8,
    "a frame that is cut": gzip.compress(wire.encode(FILE) + b'{"end": tr'),
    "bytes after it": WHOLE + b"\0",
    "another after it": WHOLE + WHOLE,
    "frames after the end": archive(FILE, END, FILE, END),
    "a file twice": archive(FILE, FILE, END),
    "a directory twice": archive({"directory": "a"}, {"directory": "a"}, END),
    "a file that is a directory": archive({"directory": "a"}, FILE, END),
    "a parent that is a file": archive(FILE, {"file": "a/b", "time": 0}, END),
    "bytes of no file": archive(({}, b"x"), END),
    "bytes of a directory": archive(FILE, {"directory": "b"}, ({}, b"x"), END),
    "a link": archive({"link": "a", "to": "/etc/passwd"}, END),
    "a link besides": archive({"file": "a", "time": 0, "link": "/etc/passwd"}, END),
    "a mode": archive({"file": "a", "time": 0, "mode": 0o4755}, END),
    "a time that is none": archive({"file": "a", "time": float("nan")}, END),
    "a time that is none either": archive({"file": "a", "time": True}, END),
    "a time without end": archive({"file": "a", "time": 1e300}, END),
    "a size that is none": gzip.compress(wire.encode(FILE) + b'{"bytes": -1}\n'),
    "a size of a truth": gzip.compress(wire.encode(FILE) + b'{"bytes": true}\nx'),
    "nested": gzip.compress(b'{"a": ' + b"[" * 100_000),
    "nested, a line": gzip.compress(b'{"a": ' + b"[" * 100_000 + b"\n"),
    "more than it may": archive(FILE, ({}, b"x" * 1000), ({}, b"x" * 25), END),
    "a header without end": gzip.compress(b"0" * (1 << 24)),
    "much of nothing": archive(FILE, *[({}, bytes(1 << 20))] * 20, END),
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_what_is_no_archive_is_refused_whole(tmp_path, data):
    changed, why, _ = fetching.from_node(Node(tmp_path / "node", data), RUN, str(tmp_path / "to" / "node1"), 1024)

    assert not changed and why.startswith("its archive was refused: ") and why.isprintable()
    assert written(tmp_path / "to") == []


def test_files_are_nobody_elses_and_keep_their_times(tmp_path):
    (tmp_path / "place").mkdir()
    unpack(
        archive({"directory": "a"}, {"file": "a/b", "time": 1.5}, ({}, b"one "), ({}, b"two"), END), tmp_path / "place"
    )
    file = tmp_path / "place" / "a" / "b"
    assert file.read_bytes() == b"one two" and file.stat().st_mtime == 1.5
    assert [path.stat().st_mode & 0o7777 for path in (file, file.parent)] == [0o600, 0o700]


def test_files_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "ENTRIES", 2)
    with pytest.raises(streams.Refused, match="more than 2 files"):
        unpack(archive(*({"directory": name} for name in "abc"), END), tmp_path)


def test_an_archive_that_holds_nothing_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "ENTRIES", 2)
    blocks = gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 10_000  # Blocks of no bytes.
    with pytest.raises(streams.Refused, match="larger than"):
        unpack(blocks, tmp_path, size=1024, piece=100)


@pytest.mark.parametrize("before", [b"x" * (1 << 22), b"line\n" * (1 << 20)], ids=["a line", "lines"])
def test_what_comes_before_an_archive_is_bounded(tmp_path, before):
    _, why, _ = fetching.from_node(Node(tmp_path / "node", WHOLE, before), RUN, str(tmp_path / "to" / "node1"), 1024)
    assert "more than 1048576 bytes" in why


def test_a_node_that_never_begins_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "SILENCE_SECONDS", 0.1)
    node = Node(tmp_path / "node", WHOLE)
    node._argv = ["sh", "-c", "cat >/dev/null; exec sleep 60"]
    _, why, _ = fetching.from_node(node, RUN, str(tmp_path / "to" / "node1"), 1024)
    assert why == "it sent nothing for 0.1 s"


def test_an_archive_that_stands_still_is_given_up(tmp_path, monkeypatch):
    real = unpacking.unpack

    def impatient(*words):
        monkeypatch.setattr(fetching, "SILENCE_SECONDS", 0.1)
        return real(*words)

    monkeypatch.setattr(unpacking, "unpack", impatient)
    node = Node(tmp_path / "node", WHOLE[:-9], last="import time; time.sleep(60)")
    _, why, _ = fetching.from_node(node, RUN, str(tmp_path / "to" / "node1"), 1024)
    assert why == "its archive was refused: it sent nothing for 0.1 s"
    assert not list((tmp_path / "to").iterdir())


@pytest.mark.fuzz
def test_no_archive_writes_anywhere_else(tmp_path, outside, rounds):
    samples = [
        b"".join(wire.encode(*pair) for pair in pairs)
        for pairs in (
            [({"directory": "a"}, b""), ({"file": "a/b", "time": 1}, b""), ({}, b"text"), (END, b"")],
            [({"file": "../outside/flag", "time": 1}, b""), ({}, b"text"), (END, b"")],
            [({"directory": "/"}, b""), ({"file": str(outside / "new"), "time": 1}, b""), (END, b"")],
        )
    ]
    packed = [gzip.compress(sample) for sample in samples]
    place = tmp_path / "place"
    place.mkdir()
    for number, data in enumerate(hostile.mutated(samples, rounds)):
        # What is within, and now and then the packing itself.
        data = gzip.compress(data, 1) if number % 10 else next(hostile.mutated(packed, 1, seed=number))
        with contextlib.suppress(streams.Refused):
            unpack(data, place, size=100)
        made = os.listdir(place)
        if made:
            assert all(name.isprintable() for name in made)
            fetching.renew(str(place))
    assert written(tmp_path) == ["outside", "outside/flag", "place"] and (outside / "flag").read_text() == "ours"


def test_a_run_comes_as_it_is(tmp_path):
    run = tmp_path / "run"
    (run / "logs" / "empty").mkdir(parents=True)
    (run / "logs" / "rank-0.out").write_bytes(bytes(range(256)) * 5000)
    (run / "run.json").write_text('{"run_id": "%s"}' % RUN["run_id"])
    (run / "exit.json").touch()
    request = dict(RUN, run_dir=str(run))
    to = tmp_path / "to" / "node1"

    assert fetching.from_node(HERE, request, str(to), 1 << 30) == (True, None, None)
    # What is empty stays there.
    (run / "logs" / "empty").rmdir()
    (run / "exit.json").unlink()
    assert written(to) == written(run)
    assert (to / "logs" / "rank-0.out").read_bytes() == (run / "logs" / "rank-0.out").read_bytes()
    assert fetching.is_replaced(str(to), RUN["run_id"]) and not fetching.is_replaced(str(to), "another")
    assert fetching.from_node(HERE, request, str(to), 1 << 30) == (False, None, None)
    (run / "exit.json").write_text("{}")
    assert fetching.from_node(HERE, request, str(to), 1 << 30) == (True, None, None)
    assert fetching.from_node(HERE, dict(RUN, run_dir="/none"), str(to), 1 << 30)[1] == "/none does not exist"


def test_names_of_a_job_are_spelled_so_that_they_come(tmp_path):
    run, to = tmp_path / "run", tmp_path / "to"
    run.mkdir()
    to.mkdir()
    names = [b"caf\xe9", b"caf\\xe9", b"\x1b[2J", "größe".encode(), b"x" * 255, b"\n" * 255, b"\r" * 254 + b"\n"]
    for name in names:
        with open(os.path.join(os.fsencode(run), name), "wb") as stream:
            stream.write(name)
    unpack(gzip.compress(b"".join(packing.packed(str(run)))), to)

    assert sorted(path.read_bytes() for path in to.iterdir()) == sorted(names)
    found = {path.name: path.read_bytes() for path in to.iterdir()}
    assert found["größe"] == "größe".encode() and found["caf\\xe9"] == b"caf\\xe9" and found["caf\\xe9~1"] == b"caf\xe9"


@pytest.mark.parametrize("text", [b"[" * 200_000, b"[]", b'{"run_id": ["x"]}', b"\xff", b""])
def test_a_directory_whose_run_cannot_be_read_is_kept(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text)
    assert not fetching.is_replaced(str(tmp_path), RUN["run_id"])


def test_what_a_node_left_out_is_said(tmp_path):
    run, to = tmp_path / "run", tmp_path / "to" / "node1"
    (run / "/".join(["d"] * 70)).mkdir(parents=True)
    (run / "file").write_text("text")
    os.utime(run / "file", (-5, -5))

    changed, why, left_out = fetching.from_node(HERE, dict(RUN, run_dir=str(run)), str(to), 1 << 30)

    assert (changed, why) == (True, None) and (to / "file").read_text() == "text"
    assert left_out.startswith("1 left out: d/d/d/")


@pytest.mark.parametrize(
    "odd", [{"left_out": 0, "names": []}, {"left_out": 1, "names": ["\x1b[2J"]}, {"left_out": 9, "names": ["a"] * 9}]
)
def test_what_a_node_left_out_has_bounds(tmp_path, odd):
    with pytest.raises(streams.Refused):
        unpack(archive({"end": True, **odd}), tmp_path)
    with pytest.raises(streams.Refused):
        unpack(archive({"end": False, "left_out": 1, "names": ["a"]}), tmp_path)
