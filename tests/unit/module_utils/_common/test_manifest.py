# SPDX-License-Identifier: Apache-2.0
"""A manifest that comes back as it was written, and hostile ones, which a node must not follow anywhere."""

import json

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.manifest import Entry

HASH = "0" * 64
FILE = ["a", "f", 0o644, 3, HASH]


def refused(*rows):
    with pytest.raises(manifest.ManifestError) as found:
        manifest.parsed(json.dumps(rows).encode())
    return str(found.value)


def test_names_of_any_bytes_come_back():
    entries = [
        Entry(b"-rf", "f", 0o755, 1, HASH),
        Entry(b"a b\n", "d", 0o700),
        Entry(b"a b\n/\xff\xc3\xa9", "l", content=manifest.text_of(b"/\xfe")),
        Entry("日本".encode(), "d", 0o755),
    ]
    found = manifest.parsed(manifest.written(reversed(entries)))

    assert found == sorted(entries)
    assert found[2].target == b"/\xfe"


def test_equal_content_has_one_identity_and_any_difference_another():
    first, other = Entry(b"a", "f", 0o644, 1, HASH), Entry(b"b", "f", 0o644, 1, HASH)
    names = {manifest.identity(manifest.written(entries)) for entries in ([first, other], [other, first])}
    changed = [first._replace(mode=0o755), first._replace(path=b"A"), first._replace(content="1" * 64)]

    assert len(names) == 1
    assert len({manifest.identity(manifest.written([entry, other])) for entry in [first, *changed]}) == 4


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "..", "../a", "a/../b", "a//b", "a/", "./a", "a\0b", "x" * 256, "/".join("a" * 70), "\ud800"],
)
def test_a_path_that_leads_elsewhere_is_refused(path):
    refused(["a", "d", 0o755, 0, ""], [path, "f", 0o644, 0, HASH])


@pytest.mark.parametrize(
    "rows",
    [
        [["a", "l", 0, 0, "/etc"], ["a/passwd", "f", 0o644, 0, HASH]],  # below a link
        [FILE, ["a/b", "f", 0o644, 0, HASH]],  # below a file
        [["a/b", "f", 0o644, 0, HASH]],  # below nothing
        [FILE, FILE],
        [FILE, ["a", "l", 0, 0, "/etc"]],
        [["a", "l", 0, 0, ""]],
        [["a", "l", 0, 0, "x\0"]],
        [["a", "l", 0o777, 0, "x"]],
        [["a", "f", 0o4755, 0, HASH]],
        [["a", "f", -1, 0, HASH]],
        [["a", "f", True, 0, HASH]],
        [["a", "f", 0o644, -1, HASH]],
        [["a", "f", 0o644, 1.5, HASH]],
        [["a", "f", 0o644, 0, HASH + "\n"]],
        [["a", "f", 0o644, 0, "../" + HASH]],
        [["a", "d", 0o755, 1, ""]],
        [["a", "c", 0o644, 0, HASH]],
        [["a", "f", 0o644, 0]],
        [[1, "f", 0o644, 0, HASH]],
        [{}],
        [["a", "f", 0o644, manifest.MOST_BYTES, HASH], ["b", "f", 0o644, 1, HASH]],
    ],
)
def test_what_is_no_entry_is_refused(rows):
    refused(*rows)


@pytest.mark.parametrize("data", [b"", b"{}", b"[", b"[" * 100000, b"\xff", b" " * (manifest.MOST_TEXT + 1)])
def test_what_is_no_manifest_is_refused(data):
    with pytest.raises(manifest.ManifestError):
        manifest.parsed(data)


def test_too_many_entries_are_refused(monkeypatch):
    monkeypatch.setattr(manifest, "MOST_ENTRIES", 1)

    assert "at most 1" in refused(FILE, ["b", "f", 0o644, 0, HASH])


def test_numbers_are_told_as_ranges():
    entries = [Entry(b"%d" % number, "f", 0o644, 0, HASH) for number in range(9)]

    assert manifest.ranges([0, 1, 2, 5, 7, 8]) == [(0, 2), (5, 5), (7, 8)]
    assert manifest.numbers([[0, 2], [5, 5]], entries) == [0, 1, 2, 5]


@pytest.mark.parametrize("told", [[[0, 9]], [[2, 1]], [[0, 1], [1, 2]], [[3, 3], [0, 0]], [[1, 1]]])
def test_what_is_not_in_the_manifest_is_not_sent(told):
    entries = [Entry(b"%d" % number, "d" if number == 1 else "f", 0o755, 0, "") for number in range(9)]
    with pytest.raises(manifest.ManifestError):
        manifest.numbers(told, entries)
