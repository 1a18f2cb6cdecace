# SPDX-License-Identifier: Apache-2.0
"""Code that is sent to real agents, what nodes keep of it, and nodes that lie about what they lack."""

import os
import time
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import sending
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._node import trees
from ansible_collections.madctl.multinode.plugins.module_utils._sync import reading
from tests.unit.module_utils.code_by_hand import write
from tests.unit.module_utils.three_ways import KINDS

HOSTS = ("n1", "n2", "n3")


class Nodes:
    """Agents that are children of this process; each node keeps code in a directory of its own."""

    def __init__(self, place):
        self.place = place
        self.loop = Loop()
        self.agents = Agents(self.loop, {host: KINDS["local"](host, place) for host in HOSTS})

    def send(self, tree, only_look=False, hosts=HOSTS):
        """Send a tree to every node, and return what each says, and what sent it."""
        found, each = {}, {}
        for host in hosts:
            own = each[host] = sending.Sending(self.agents, tree, str(self.place / host), only_look)
            own.begin(
                host,
                lambda place, host=host: found.update({host: place}),
                lambda one, host=host: found.update({host: one}),
            )
        self.loop.until(lambda: len(found) == len(hosts) or any(own.trouble for own in each.values()), 60)
        return found, each

    def together(self, tree):
        """Send a tree to all nodes as a launch does."""
        found, own = {}, sending.Sending(self.agents, tree, str(self.place / "base"), False)
        for host in HOSTS:
            own.begin(
                host,
                lambda place, host=host: found.update({host: place}),
                lambda one, host=host: found.update({host: one}),
            )
        self.loop.until(lambda: len(found) == len(HOSTS) or own.trouble, 60)
        own.end()
        return found, own


@pytest.fixture
def nodes(tmp_path):
    nodes = Nodes(tmp_path / "nodes")
    yield nodes
    nodes.agents.close()
    nodes.loop.close()


@pytest.fixture
def code(tmp_path):
    place = tmp_path / "code"
    write(place, "train.py", text="print()\n")
    write(place, "-rf", "a b/c\n", text="odd")
    write(place, "same/one", "same/two", text="equal content")
    with open(os.path.join(os.fsencode(place), b"\xff"), "wb") as stream:
        stream.write(os.urandom(1 << 20))
    (place / "empty/deep").mkdir(parents=True)
    (place / "nothing").touch()
    (place / "run.sh").touch(0o755)
    os.symlink("../etc/passwd", place / "link")
    return place


def content(place):
    """Return everything below a directory, with the permissions of its owner."""
    found = {}
    for directory, names, files in os.walk(os.fsencode(place)):
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode & 0o100
            key = path[len(os.fsencode(place)) :]
            found[key] = (
                os.readlink(path)
                if os.path.islink(path)
                else mode
                if os.path.isdir(path)
                else (mode, Path(os.fsdecode(path)).read_bytes())
            )
    return found


def test_every_node_has_the_same_and_gets_it_once(nodes, code):
    tree = reading.read(str(code))
    found, each = nodes.send(tree)
    for host in HOSTS:
        assert content(found[host]) == content(code)
        assert each[host].receivers == {host} and each[host].sent < tree.size + 10**4
    again, each = nodes.send(tree)

    assert again == found
    assert [own.sent for own in each.values()] == [0, 0, 0]


def test_what_is_kept_cannot_be_changed_by_accident(nodes, code):
    found, _ = nodes.send(reading.read(str(code)), hosts=HOSTS[:1])
    kept = Path(found["n1"])

    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert not any(path.lstat().st_mode & 0o222 for path in [kept, *kept.rglob("*")] if not path.is_symlink())


def test_a_small_edit_sends_one_file(nodes, code):
    nodes.send(reading.read(str(code)))
    write(code, "train.py", text="print(1)\n")
    found, each = nodes.send(tree := reading.read(str(code)))

    assert content(found["n2"]) == content(code)
    assert all(own.sent < len(tree.data) + 100 for own in each.values())


def test_trees_share_files_whose_permissions_are_the_same(nodes, code):
    first = Path(nodes.send(reading.read(str(code)))[0]["n1"])
    (code / "train.py").chmod(0o755)
    found, _ = nodes.send(reading.read(str(code)))
    other = Path(found["n1"])

    assert content(other) == content(code)
    assert (first / "train.py").stat().st_mode & 0o111 == 0 and (other / "train.py").stat().st_mode & 0o111
    assert (first / "same/one").stat().st_ino == (other / "same/one").stat().st_ino
    assert nodes.send(reading.read(str(code)))[1]["n1"].sent == 0
    assert trees.is_intact(str(first.parent), trees.entries_of(str(first.parent)))


def test_a_damaged_file_of_another_tree_is_not_taken(nodes, code):
    kept = Path(nodes.send(reading.read(str(code)), hosts=["n1"])[0]["n1"])
    os.chmod(kept / "train.py", 0o644)
    (kept / "train.py").write_text("PRINT()\n")
    os.utime(kept / "train.py", (1, 1))  # Within one tick of a file system's clock, it would look unchanged.
    (code / "new").touch()
    found, _ = nodes.send(reading.read(str(code)), hosts=["n1"])

    assert content(found["n1"]) == content(code)


def test_a_rename_sends_none(nodes, code):
    nodes.send(reading.read(str(code)))
    (code / "train.py").rename(code / "other.py")
    found, each = nodes.send(tree := reading.read(str(code)))

    assert content(found["n1"]) == content(code)
    assert all(own.sent == len(tree.data) + 8 for own in each.values())


def test_files_are_read_once_and_runs_that_store_at_once_agree(nodes, code, monkeypatch):
    opened, before = [], reading.opened
    monkeypatch.setattr(reading, "opened", lambda root, path, known: opened.append(path) or before(root, path, known))
    monkeypatch.setattr(sending, "_TOGETHER_SECONDS", 30.0)
    tree = reading.read(str(code))
    opened.clear()
    found, own = nodes.together(tree)  # The nodes share the directory.

    assert len(set(found.values())) == 1 and content(found["n1"]) == content(code)
    assert own.trouble is None
    files = {entry.content for entry in tree.entries if entry.kind == "f"}
    assert (len(opened), own.receivers) == (len(files), set(HOSTS))
    assert sorted(os.listdir(nodes.place / "base" / "sync")) == [tree.identity]


def test_many_pieces_arrive_in_order(nodes, tmp_path):
    write(tmp_path / "code", "a")
    (tmp_path / "code/a").write_bytes(os.urandom((1 << 23) + 17))
    found, own = nodes.together(reading.read(str(tmp_path / "code")))

    assert content(found["n3"]) == content(tmp_path / "code")


@pytest.mark.parametrize("damage", ["content", "shorter", "gone", "more", "manifest", "a link"])
def test_a_damaged_tree_is_sent_again(nodes, code, damage):
    found, _ = nodes.send(reading.read(str(code)), hosts=["n1"])
    kept = Path(found["n1"])
    path = kept / "train.py"
    os.chmod(kept, 0o755)
    if damage == "manifest":
        (kept.parent / "manifest").write_text("[]")
    elif damage == "gone":
        path.unlink()
    elif damage == "a link":
        path.unlink()
        path.symlink_to("/etc/passwd")
    else:
        os.chmod(path, 0o644)
        path.write_text({"content": "PRINT()\n", "shorter": "p", "more": "print()\n\n"}[damage])
        os.utime(path, (1, 1))  # Within one tick of a file system's clock, it would look unchanged.
    again, each = nodes.send(reading.read(str(code)), hosts=["n1"])

    assert again == found and content(kept) == content(code)
    assert each["n1"].receivers == {"n1"}


def test_after_a_restart_of_the_node_content_is_compared_again(nodes, code):
    tree = reading.read(str(code))
    found, _ = nodes.send(tree, hosts=["n1"])
    kept = Path(found["n1"]).parent
    looks = trees.looks(str(kept), tree.entries)
    (kept / "verified").write_text('{"boot_id": "of another start", "looks": []}')
    again, each = nodes.send(tree, hosts=["n1"])

    assert again == found and each["n1"].sent == 0
    assert trees.looks(str(kept), tree.entries) == looks


def test_a_dry_run_writes_nothing(nodes, code):
    tree = reading.read(str(code))
    found, each = nodes.send(tree, only_look=True)
    assert found == dict.fromkeys(HOSTS) and not nodes.place.exists()
    assert [(own.sent, own.receivers) for own in each.values()] == [(0, {host}) for host in HOSTS]

    stored, _ = nodes.send(tree)
    again, each = nodes.send(tree, only_look=True)
    assert again == stored and not any(own.receivers for own in each.values())


def test_a_file_that_changes_is_the_end_of_all(nodes, code):
    tree = reading.read(str(code))
    write(code, "train.py", text="changed")
    found, own = nodes.together(tree)

    assert own.trouble["code"] == "SYNC_CHANGED" and own.trouble["host"] is None
    assert not found


def test_a_base_that_cannot_be_written_is_an_error_of_that_node(nodes, code):
    nodes.place.mkdir()
    (nodes.place / "n2").touch()
    found, _ = nodes.send(reading.read(str(code)))

    assert found["n2"]["code"] == "SYNC_FAILED" and found["n2"]["host"] == "n2"
    assert content(found["n1"]) == content(code)


@pytest.mark.parametrize("fill", [True, False])
def test_what_a_killed_store_left_goes(nodes, code, fill):
    room = nodes.place / "n1" / "sync"
    (room / ".madctl-gone-1-x/files").mkdir(parents=True)
    if not fill:
        os.utime(room / ".madctl-gone-1-x", (1, 1))
    tree = reading.read(str(code))
    nodes.send(tree, hosts=["n1"])

    # One that is young may not have its lock yet.
    assert sorted(os.listdir(room)) == ([".madctl-gone-1-x"] if fill else []) + [tree.identity]


@pytest.mark.parametrize("way", ["end", "lost"])
def test_a_node_that_is_sent_nothing_more_cleans_up(nodes, tmp_path, way):
    write(tmp_path / "code", "a")
    (tmp_path / "code/a").write_bytes(os.urandom(1 << 24))
    own = sending.Sending(nodes.agents, reading.read(str(tmp_path / "code")), str(nodes.place), False)
    own.begin("n1", lambda _: None, lambda _: None)
    nodes.loop.until(lambda: own.sent > 1 << 21, 60)
    room = nodes.place / "sync"
    assert len(os.listdir(room)) == 1
    own.end() if way == "end" else nodes.agents.close()
    deadline = time.monotonic() + 60
    while os.listdir(room) and time.monotonic() < deadline:
        nodes.loop.turn(0.05)

    assert os.listdir(room) == []


class Lies:
    """A call that a hostile node answers."""

    def __init__(self):
        self.data, self.is_dropped = b"", False

    def give(self, data):
        self.data += data

    def drop(self):
        self.is_dropped = True


@pytest.mark.parametrize(
    "news",
    [
        [{"missing": [[0, 10**5]]}],
        [{"lacks": True}, {"missing": [[1, 0]]}],
        [{"lacks": True}, {"lacks": True}],
        [{"lacks": True}, {"missing": []}, {"missing": []}],
        [{"lacks": True}, {"taken": 1}],
        [{"listening": [1]}],
        [{}],
    ],
)
def test_a_node_that_asks_for_what_there_is_not_is_refused_alone(nodes, code, news):
    found, call = [], Lies()
    own = sending.Sending(nodes.agents, reading.read(str(code)), None, False)
    nodes.agents.call = lambda host, task: task.started(call)
    own.begin("n1", found.append, found.append)
    for one in news:
        own._told("n1", one)

    assert [one["code"] for one in found] == ["SYNC_FAILED"]
    assert call.is_dropped and own.trouble is None
    own._told("n1", {"taken": 1})


def test_no_more_than_a_window_waits_for_a_node_that_takes_nothing(nodes, tmp_path, monkeypatch):
    write(tmp_path / "code", "a")
    (tmp_path / "code/a").write_bytes(os.urandom(1 << 23))
    found, call = [], Lies()
    tree = reading.read(str(tmp_path / "code"))
    own = sending.Sending(nodes.agents, tree, None, False)
    nodes.agents.call = lambda host, task: task.started(call)
    own.begin("n1", found.append, found.append)
    own._told("n1", {"lacks": True})
    own._told("n1", {"missing": manifest.ranges([0])})
    assert len(call.data) < (sending._WINDOW + 1) * (1 << 18)
    assert not found

    monkeypatch.setattr(sending, "_SILENCE_SECONDS", -1.0)
    own._look()
    assert [one["code"] for one in found] == ["SYNC_FAILED"]


def test_a_node_that_waits_for_a_silent_one_is_not_given_up_with_it(nodes, tmp_path, monkeypatch):
    write(tmp_path / "code", "a")
    (tmp_path / "code/a").write_bytes(os.urandom(1 << 24))
    monkeypatch.setattr(sending.packing, "_AHEAD", 20)
    calls, failed = {}, []
    own = sending.Sending(nodes.agents, reading.read(str(tmp_path / "code")), None, False)
    nodes.agents.call = lambda host, task: task.started(calls.setdefault(host, Lies()))
    for host in ("fast", "hung"):
        own.begin(host, failed.append, failed.append)
    for news in ({"lacks": True}, {"missing": [[0, 0]]}):
        own._told("fast", news)
        own._told("hung", news)
    for taken in range(1, 20 + sending._WINDOW + 1):
        own._told("fast", {"taken": taken})
    before = len(calls["fast"].data)
    monkeypatch.setattr(sending, "_SILENCE_SECONDS", -1.0)
    own._look()
    assert [one["host"] for one in failed] == ["hung"]

    nodes.loop.until(lambda: len(calls["fast"].data) > before, 60)
    assert len(calls["fast"].data) > before
