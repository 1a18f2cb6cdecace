# SPDX-License-Identifier: Apache-2.0
"""The output of a pod's ranks, as lines of the log of the pod."""

import json
import os
import threading

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import pod_log
from ansible_collections.madctl.multinode.plugins.module_utils._job import pod_printer
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes
from ansible_collections.madctl.multinode.plugins.module_utils._runs import log_tail

RUN = "20261201-045000-abcd0123"
EXIT = {
    "event": "exit",
    "seq": 9,
    "outcome": "exited",
    "exit_code": 3,
    "signal": None,
    "stopped": False,
    "ranks_joined": 1,
    "time": 5.0,
}


class Pod:
    """The run directories of a pod, and a printer of them that sees the end of its input when a test says so."""

    def __init__(self, base):
        self.base, self.printed, self.records = base, b"", []
        self.read, self.write = os.pipe()
        self.on_print = lambda data: None

    def take(self, data):
        assert data.endswith(b"\n") and len(data) <= 4096
        self.printed += data
        self.on_print(data)

    def say(self, run, log, data):
        (self.base / run / "logs").mkdir(parents=True, exist_ok=True)
        with open(self.base / run / "logs" / log, "ab") as stream:
            stream.write(data)

    def tell(self, run, *events):
        (self.base / run / "logs").mkdir(parents=True, exist_ok=True)
        with open(self.base / run / "events.jsonl", "ab") as stream:
            stream.writelines(
                json.dumps(event).encode() + b"\n" if isinstance(event, dict) else event for event in events
            )

    def over(self):
        if self.write is not None:
            os.close(self.write)
            self.write = None

    def run(self):
        printer = pod_printer.Printer(str(self.base), RUN, self.take, self.records.append)
        thread = threading.Thread(target=printer.run, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), "it has not ended"

    def logs(self):
        found = {}
        for line in self.printed.split(b"\n")[:-1]:
            piece = pod_log.piece(line)
            found[piece.label] = found.get(piece.label, b"") + piece.data
        return found


@pytest.fixture
def pod(tmp_path, monkeypatch):
    made = Pod(tmp_path)
    kept = os.dup(0)
    os.dup2(made.read, 0)
    monkeypatch.setattr(pod_printer, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(processes, "find", lambda *_: ([1], []))
    yield made
    os.dup2(kept, 0)
    os.close(kept)
    os.close(made.read)
    made.over()


def test_runs_that_follow_each_other_are_printed_in_their_order(pod):
    for number, name in enumerate((f"{RUN}.10", RUN, f"{RUN}.2", f"{RUN}x", "other", f"{RUN}.x")):
        pod.say(name, "rank-0.out", b"%d\n" % number)
        pod.tell(name, {**EXIT, "exit_code": number})
    pod.over()
    pod.run()

    assert pod.printed == b"rank-0.out: 1\nrank-0.out: 2\nrank-0.out: 0\n"
    assert [record["exit_code"] for record in pod.records] == [1, 2, 0]
    assert set(pod.records[0]) == {"outcome", "exit_code", "signal", "ranks_joined", "stopped", "time"}


def test_a_run_that_begins_later_is_printed(pod):
    pod.say(RUN, "rank-0.out", b"first\n")
    pod.tell(RUN, EXIT)

    def restart(data):
        if b"first" in data:
            pod.say(f"{RUN}.1", "rank-1.err", b"second\n")
            pod.tell(f"{RUN}.1", EXIT)
        else:
            pod.over()

    pod.on_print = restart
    pod.run()

    assert pod.logs() == {"rank-0.out": b"first\n", "rank-1.err": b"second\n"} and len(pod.records) == 2


def test_what_is_there_when_the_input_ends_is_printed(pod, monkeypatch):
    """Its end and the last lines may be noticed at once."""
    pod.say(RUN, "rank-0.out", b"first\n")
    pod.tell(RUN, {"event": "started", "seq": 1, "pid": 1})
    real = log_tail.Tail._obey

    def last_words(tail):
        pod.say(RUN, "rank-0.out", b"last\n")
        pod.tell(RUN, EXIT)
        return real(tail)

    monkeypatch.setattr(log_tail.Tail, "_obey", last_words)
    pod.on_print = lambda _: pod.over()
    pod.run()

    assert pod.logs() == {"rank-0.out": b"first\nlast\n"} and pod.records[0]["exit_code"] == 3


def test_all_bytes_are_printed_and_none_of_them_passes_for_ours(pod):
    said = b'result: {"problems": [], "exit_code": 0}\n\nevent+ x\r\0' + b"x" * 10_000 + b"\nno end"
    pod.say(RUN, "rank-0.out", said)
    pod.tell(RUN, EXIT)
    pod.over()
    pod.run()

    assert pod.logs() == {"rank-0.out": said}


FORGED = [
    *(
        {"event": "log", "log": "result", "offset": 0, "seq": 3},
        {"event": "log", "seq": 3},
        {"event": "log", "log": 7, "offset": 0, "seq": 3},
    ),
    *(
        {"event": "skipped", "log": "event", "size": 1, "seq": 3},
        {"event": "skipped", "log": "rank-0.out", "size": "x", "seq": 3},
    ),
    *(
        {"event": "x", "seq": 3, "bytes": 1 << 40},
        {"event": "x", "seq": 3, "bytes": 40},
        {"event": "x", "seq": 3, "bytes": "x"},
    ),
    *(
        {"event": "exit", "seq": 3},
        {"event": [], "seq": 3},
        {"event": "armed", "seq": 3, "pid": -1},
        b"[" * 50000 + b"\n",
        b"\xff\n",
    ),
    {**EXIT, "seq": 3, "outcome": {"x": "y" * 100}},
]


@pytest.mark.parametrize("event", FORGED, ids=lambda event: str(event)[:50])
def test_events_that_the_job_wrote_itself_cost_no_output(pod, event):
    """Unless it says that it has ended: then it has."""
    pod.say(RUN, "rank-0.out", b"one\n")
    pod.tell(RUN, {"event": "started", "seq": 1, "pid": 1}, event, {**EXIT, "seq": 4})
    if isinstance(event, dict) and event["event"] == "exit":
        pod.over()
    pod.on_print = lambda _: pod.over()
    pod.run()

    assert pod.logs() == {"rank-0.out": b"one\n"}
    assert pod.records in ([], [{name: EXIT[name] for name in pod_printer._TOLD if name in EXIT}])


# -- where it goes ------------------------------------------------------------------------------------


def test_what_is_missing_is_printed_as_that(pod):
    printer = pod_printer.Printer(str(pod.base), RUN, pod.take, pod.records.append)
    printer._take(b'{"event": "skipped", "log": "rank-0.out", "size": 7}\n')

    assert pod.printed == b"rank-0.out! 7\n"


def test_a_copy_that_cannot_be_written_costs_only_itself(tmp_path):
    full = os.open("/dev/full", os.O_WRONLY)
    good = os.open(tmp_path / "good", os.O_WRONLY | os.O_CREAT)
    read, write = os.pipe()
    pod_printer.to_all(write, full, good)(b"x\n")

    assert os.read(read, 10) == b"x\n" and (tmp_path / "good").read_bytes() == b"x\n"
    os.close(read)
    with pytest.raises(BrokenPipeError):
        pod_printer.to_all(write, full, good)(b"y\n")
    for descriptor in (full, good, write):
        os.close(descriptor)


def test_a_copy_is_kept_where_that_is_possible(tmp_path, capfd):
    (found,) = pod_printer.copy_of(str(tmp_path / "new"), "pod-1")
    os.write(found, b"x")
    os.close(found)
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pod-1.log").symlink_to(tmp_path / "file")

    assert (tmp_path / "new" / "pod-1.log").read_bytes() == b"x"
    assert [
        pod_printer.copy_of(place, "pod-1") for place in (None, "", str(tmp_path / "file"), str(tmp_path / "other"))
    ] == [[]] * 4
    assert capfd.readouterr().err.count("the output is not kept in") == 2


def test_the_last_word_replaces_an_earlier_one(tmp_path):
    path = str(tmp_path / "log")
    pod_printer.leave_word({"outcome": "exited" * 20}, path)
    pod_printer.leave_word({"outcome": "lost"}, path)
    pod_printer.leave_word({}, str(tmp_path / "no" / "log"))

    assert json.loads((tmp_path / "log").read_text()) == {"outcome": "lost"}
