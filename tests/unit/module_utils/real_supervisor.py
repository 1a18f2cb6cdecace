# SPDX-License-Identifier: Apache-2.0
"""A supervisor as nodes run it, with real processes, on this machine."""

import json
import os
import socket
import subprocess
import sys
import uuid

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles
from ansible_collections.madctl.multinode.plugins.module_utils._follow import door


def deliver(place, broken=()):
    """Write what nodes keep to a directory, once, and return the program that starts the others."""
    if not place.exists():
        for name, text in bundles.delivered().items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
    for name, old, new in broken:
        file = place / f"{name}.py"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))
    return place / "madctl_node.py"


# A test that waits for what does not come fails, and does not hang the suite.
_PATIENCE = 240.0


class Armed:
    """A run directory with a supervisor in it."""

    def __init__(self, base, argv, broken=(), preexec=None, **spec):
        """
        Start a supervisor.

        Args:
            broken: What is done to its programs, as file, text and the text instead.
        """
        self.run_id = f"20260101-000000-{uuid.uuid4().hex[:8]}"
        self.run_dir = base / self.run_id
        (self.run_dir / "logs").mkdir(parents=True)
        os.mkfifo(self.run_dir / "ready")
        environment = {**os.environ, "MADCTL_RUN_ID": self.run_id, "MADCTL_RUN_DIR": str(self.run_dir)}
        known = {
            "run_id": self.run_id,
            "origin": self.run_id,
            "node_rank": 0,
            "cwd": "/",
            "argv": argv,
            "env": environment,
            "lock": None,
        }
        times = {"start_timeout": _PATIENCE, "timeout": None, "grace": 1.0, "log_cap": 1 << 20}
        rest = {
            "proof_janitors": [],
            "boot_id": "b",
            "oom_score": "0",
            "umask": 0o027,
            "py_spy": None,
            "beacon": None,
            "mpi": None,
            "after": None,
            "in_step": False,
            "setup": None,
            "limits": {},
            "samples": None,
        }
        (self.run_dir / "spec.json").write_text(json.dumps({**known, **times, **rest, **spec}))
        ready = os.open(self.run_dir / "ready", os.O_RDWR)
        program = deliver(base / "bin", broken)
        argv = [sys.executable, "-I", "-S", program, "supervisor", self.run_dir]
        self.process = subprocess.Popen(argv, preexec_fn=preexec)
        self.said = os.read(ready, 500).decode().strip()
        os.close(ready)

    def connect(self):
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.settimeout(_PATIENCE)
        before = os.getcwd()
        os.chdir(self.run_dir)
        try:
            channel.connect("control.sock")
        finally:
            os.chdir(before)
        return channel

    def follow(self, channel):
        """Read to the last frame."""
        decoder, frames = wire.Decoder(), []
        while data := channel.recv(1 << 16):
            fresh = list(decoder.feed(data))
            # A follower understands every event.
            assert all(door.check(header) for header, _ in fresh)
            frames += fresh
            if frames and frames[-1][0]["event"] == "exit":
                break
        channel.close()
        self.process.wait(60)
        return frames

    @property
    def record(self):
        return json.loads((self.run_dir / "exit.json").read_text())


def read(channel):
    """Read one frame, and what arrives with it."""
    return next(iter(wire.Decoder().feed(channel.recv(1 << 16))))[0]


def start(run):
    """Have the runner started, and return the channel."""
    channel, decoder, seen = run.connect(), wire.Decoder(), []
    channel.send(b"g")
    while "started" not in seen:
        data = channel.recv(1 << 16)
        assert data, f"it ended: {seen}"
        seen += [header["event"] for header, _ in decoder.feed(data)]
    return channel
