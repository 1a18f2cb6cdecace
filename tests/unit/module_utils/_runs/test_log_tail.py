# SPDX-License-Identifier: Apache-2.0
"""Reading a run's files gives what its supervisor wrote, whatever else a job put there."""

import json
import os
import socket
import threading

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._node import log_segments
from ansible_collections.madctl.multinode.plugins.module_utils._runs import log_tail, run_state

# Of this process alone: a run is looked for on the whole machine.
RUN = f"20261101-120000-{os.urandom(4).hex()}"
EXIT = {"event": "exit", "seq": 2, "outcome": "exited", "exit_code": 0, "signal": None, "stopped": False}


@pytest.fixture
def run_dir(tmp_path):
    path = tmp_path / RUN
    (path / "logs").mkdir(parents=True)
    (path / "logs" / "rank-0.out").write_bytes(b"one\n")
    write(path, {"event": "armed", "seq": 1, "pid": 1})
    return path


def write(run_dir, *events):
    with open(run_dir / "events.jsonl", "a") as stream:
        stream.writelines(json.dumps(event) + "\n" for event in events)


def read(run_dir, follow=False, **more):
    """Read a run to where the reader ends, and give events without the first, and logs."""
    frames, decoder = [], wire.Decoder()
    request = {"run_id": RUN, "run_dir": str(run_dir), "follow": follow, **more}
    log_tail.Tail(request, lambda data: frames.extend(decoder.feed(data))).run()
    logs = {}
    for header, payload in frames:
        if header["event"] == "log":
            logs[header["log"]] = logs.get(header["log"], b"") + payload
    return [header for header, _ in frames[1:] if header["event"] not in ("log", "so_far")], logs


def socket_at(path):
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.getcwd()
        os.chdir(path.parent)
        listener.bind(path.name)
        os.chdir(before)


OBSTACLES = {
    "directory": lambda path: path.mkdir(),
    "fifo": lambda path: os.mkfifo(path),
    "link": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "socket": socket_at,
    "device": lambda path: os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5)) if os.geteuid() == 0 else path.mkdir(),
}
NAMES = [
    "tb",
    "rank-0.err",
    "rank-1.out",
    "rank-0.out.4",
    "runner.err",
    "rank-0.stack",
    "rank-0.out.times",
    "x\x1b]0;y\x07.out",
]


@pytest.mark.parametrize("since", [None, "end", 0.0])
@pytest.mark.parametrize("kind", OBSTACLES)
def test_files_that_are_not_logs_are_not_read(run_dir, kind, since):
    for name in NAMES:
        OBSTACLES[kind](run_dir / "logs" / name)
    events, logs = read(run_dir, since=since)

    assert [event["event"] for event in events] == ["armed", "end"]
    assert logs == ({} if since == "end" else {"rank-0.out": b"one\n"})


@pytest.mark.parametrize("kind", OBSTACLES)
@pytest.mark.parametrize("name", ["events.jsonl", "exit.json"])
def test_files_that_are_not_ours_are_not_waited_for(run_dir, name, kind):
    (run_dir / name).unlink(missing_ok=True)
    OBSTACLES[kind](run_dir / name)
    events, logs = read(run_dir)
    seen = run_state.look({"run_id": RUN, "run_dir": str(run_dir)})

    assert (events[-1]["event"], logs) == ("end", {"rank-0.out": b"one\n"})
    assert (seen["state"], seen["exit"]) == ("lost", None)


def test_names_that_a_supervisor_does_not_give_are_none_of_its(run_dir):
    for name in [
        "out",
        "rank-x.out",
        "rank-0.out.bak",
        "rank-0.out.0x1",
        "rank-0.out.-1",
        "rank-0.log",
        "rank-²7.out",
        "a\nb.out",
    ]:
        (run_dir / "logs" / name).write_text("of the job")
    for number in range(3000):
        (run_dir / "logs" / f"events.out.tfevents.{number}").touch()

    assert list(log_segments.segments(str(run_dir / "logs"))) == ["rank-0.out"]


@pytest.mark.parametrize(
    "text", ["x y\n", "1.0 -5\n", "1.0 99999999999999999999999\n", "nan 3\n", "\x00\n", "1 9999\n"]
)
def test_a_table_of_times_that_is_none_costs_the_moment(run_dir, text):
    (run_dir / "logs" / "rank-0.out.times").write_text(text)

    assert read(run_dir, with_times=True)[1] == {"rank-0.out": b"one\n"}
    assert read(run_dir, since=0.5)[1] in ({"rank-0.out": b"one\n"}, {})


TORN = [
    b'{"event": "joined", "rank": 2',
    b"",
    b"[]",
    b"null",
    b"3",
    b'{"seq": 9}',
    b'{"event": 3}',
    b"\xff\xfe",
    b"[" * 5000,
]


@pytest.mark.parametrize("torn", TORN)
def test_an_invalid_line_affects_no_event(run_dir, torn):
    with open(run_dir / "events.jsonl", "ab") as stream:
        stream.write(torn + b"\n")
    write(run_dir, {"event": "joined", "seq": 7, "rank": 0}, {"event": "odd", "seq": "x"}, dict(EXIT, seq=8))

    assert [event["event"] for event in run_state.read_events(str(run_dir))] == ["armed", "joined", "odd", "exit"]
    events, _ = read(run_dir, follow=True)
    assert [event["event"] for event in events] == ["armed", "joined", "exit"]


def test_events_without_an_end_are_read_in_pieces(run_dir, monkeypatch):
    monkeypatch.setattr(log_tail, "_EVENTS_BYTES", 256)
    with open(run_dir / "events.jsonl", "ab") as stream:
        stream.write(b"x" * 1000 + b"\n")
    write(run_dir, EXIT)

    # What is longer than any event is passed over.
    assert [event["event"] for event in read(run_dir, follow=True)[0]] == ["armed", "exit"]


@pytest.mark.parametrize(
    "record", ["", "[]", "null", "{", '{"outcome": 3}', '{"outcome": "exited", "exit_code": "x"}', "[" * 9999]
)
def test_a_record_that_is_none_is_none(run_dir, record):
    (run_dir / "exit.json").write_text(record)

    assert run_state.exit_record(str(run_dir)) is None
    assert run_state.look({"run_id": RUN, "run_dir": str(run_dir)})["state"] == "lost"


class Exhausted:
    """The C library where the kernel refuses to watch."""

    def __init__(self, instances):
        self.instances = instances

    def inotify_init1(self, _):
        return os.open(os.devnull, os.O_RDONLY) if self.instances else -1

    def inotify_add_watch(self, *_):
        return -1


@pytest.mark.parametrize("instances", [False, True])
def test_where_nothing_more_can_be_watched_files_are_looked_at(run_dir, monkeypatch, instances):
    monkeypatch.setattr(log_tail.ctypes, "CDLL", lambda _: Exhausted(instances))
    monkeypatch.setattr(log_tail, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(log_tail.processes, "supervised", lambda _: RUN)
    reader, writer = os.pipe()  # where orders come from
    standard = os.dup(0)
    os.dup2(reader, 0)
    later = threading.Timer(0.3, lambda: write(run_dir, EXIT))
    later.start()
    try:
        events, logs = read(run_dir, follow=True)
    finally:
        os.dup2(standard, 0)
        for descriptor in (reader, writer, standard):
            os.close(descriptor)
        later.join()

    assert ([event["event"] for event in events], logs) == (["armed", "exit"], {"rank-0.out": b"one\n"})


# -- what is asked for -----------------------------------------------------------------------------------


@pytest.fixture
def dated(run_dir):
    """A run of two ranks that printed in three seconds, the last time without a newline."""
    for rank in (0, 1):
        pieces = [b"%d: a\n%d: b\n" % (rank, rank), b"%d: c\n" % rank, b"%d: d" % rank]
        times, data = b"", b""
        for second, piece in enumerate(pieces):
            times += b"%.3f %d\n" % (1000.5 + second, len(data))
            data += piece
        (run_dir / "logs" / f"rank-{rank}.out").write_bytes(data)
        (run_dir / "logs" / f"rank-{rank}.out.times").write_bytes(times)
    (run_dir / "logs" / "runner.err").write_bytes(b"of torchrun\n")
    return run_dir


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"lines": 2}, b"1: c\n1: d"),
        ({"lines": 0}, None),
        ({"lines": 99}, b"1: a\n1: b\n1: c\n1: d"),
        ({"since": 1001.0}, b"1: c\n1: d"),
        ({"since": 1001.0, "lines": 1}, b"1: d"),
        ({"since": 1002.9, "lines": 3}, b"1: d"),
        ({"since": 1003.0}, None),
        ({"since": "end", "lines": 3}, None),
    ],
)
def test_a_reader_begins_at_the_later_of_what_was_asked_for(dated, asked, found):
    assert read(dated, **asked)[1].get("rank-1.out") == found


def test_only_the_logs_of_the_chosen_ranks_are_read(dated):
    assert set(read(dated, ranks="1-7")[1]) == {"rank-1.out"}
    assert set(read(dated)[1]) == {"rank-0.out", "rank-1.out", "runner.err"}


def test_what_a_program_says_comes_before_what_it_complains_about(dated):
    (dated / "logs" / "rank-0.err").write_bytes(b"boom\n")
    assert list(read(dated)[1]) == ["rank-0.out", "rank-0.err", "rank-1.out", "runner.err"]


def frames_of(run_dir, **more):
    frames, decoder = [], wire.Decoder()
    request = {"run_id": RUN, "run_dir": str(run_dir), "follow": False, **more}
    log_tail.Tail(request, lambda data: frames.extend(decoder.feed(data))).run()
    return frames


def test_output_is_cut_where_a_later_second_begins(dated):
    found = [
        (header.get("time"), header["offset"], payload)
        for header, payload in frames_of(dated, with_times=True)
        if header.get("log") in ("rank-0.out", "runner.err")
    ]

    assert found == [
        (1000.5, 0, b"0: a\n0: b\n"),
        (1001.5, 10, b"0: c\n"),
        (1002.5, 15, b"0: d"),
        (None, 0, b"of torchrun\n"),  # It has no table.
    ]


def test_who_follows_learns_when_all_that_was_there_is_sent(dated):
    write(dated, EXIT)
    kinds = [header["event"] for header, _ in frames_of(dated, follow=True)]

    assert kinds.count("so_far") == 1
    assert set(kinds[: kinds.index("so_far")]) >= {"log"} and "log" not in kinds[kinds.index("so_far") :]
    assert "so_far" not in [header["event"] for header, _ in frames_of(dated)]
