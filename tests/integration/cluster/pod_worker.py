# SPDX-License-Identifier: Apache-2.0
"""The life of one pod on its node: volumes, start, output, end, and what its status says of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from madctl.lab.spec import Host
from tests.integration.cluster import container_spec, pod_status, volumes
from tests.integration.cluster.events import record
from tests.integration.cluster.logs import Log
from tests.integration.cluster.store import Store, now

Object = dict[str, Any]
RUNTIME = Path(__file__).with_name("container.py")


class Image(NamedTuple):
    """What a container sees of this machine besides its root: directories, and where its programs are."""

    path: str
    binds: tuple[tuple[str, str, bool], ...]


class PodWorker:
    """One pod on a host; its thread ends with it."""

    def __init__(self, store: Store, pod: Object, host: Host, directory: Path, claims: Path, image: Image):
        self.pod, self.host, self.log = pod, host, None
        self.pid, self.is_stuck, self.is_oom_killed, self.is_silent = 0, False, False, lambda: False
        self.is_lost = False
        self.image_problem: tuple[str, str] | None = None
        self.eviction: str | None = None
        self._store, self.directory, self._claims, self._image = store, directory, claims, image
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._deleted = threading.Event()
        self._grace = 0
        self._told: int | None = None
        self._telling = threading.Lock()
        self._timers: list[threading.Timer] = []
        # Its own thread makes volumes, and its kubelet writes some again.
        self._writes = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)

    # -- what the kubelet asks of it --------------------------------------------------------------------

    def delete(self, grace: int) -> None:
        """End the container: TERM to its PID 1, KILL once the grace is over; again with a shorter grace, that holds."""
        self._grace = grace
        self._deleted.set()
        if self._ended.is_set():
            self.leave()
        else:
            self.stop(grace)

    @property
    def is_running(self) -> bool:
        """Whether the container runs."""
        return self.pid > 0 and not self._ended.is_set()

    def stop(self, grace: int) -> None:
        """Send TERM to PID 1, and KILL once the grace is over; the same grace again changes nothing."""
        with self._telling:
            if not self.is_running or self._told == grace:
                return
            self._told = grace
        record(self._store, self.pod, "kubelet", "Killing", f"Stopping container {self._name}")
        self.signal(signal.SIGTERM)
        timer = threading.Timer(grace, self.signal, [signal.SIGKILL])
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def signal(self, number: int) -> None:
        """Send a signal to PID 1."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                os.write(self._process.stdin.fileno(), b"%d\n" % number)

    def kill(self) -> None:
        """End the container at once, whatever its pod says."""
        for timer in self._timers:
            timer.cancel()
        self._deleted.set()
        self._ended.set()
        deadline = time.monotonic() + 60
        while self.thread.is_alive() and time.monotonic() < deadline:
            # It may be about to start the container.
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
            self.thread.join(0.05)
        shutil.rmtree(self.directory, ignore_errors=True)

    def write_names(self, text: str) -> None:
        """Write the hosts file of the container; it changes at once or not at all."""
        self._write("hosts", text)

    def write_downward(self, pod: Object) -> None:
        """Write the files that show fields of the pod again."""
        for volume in pod["spec"].get("volumes") or ():
            if "downwardAPI" in volume:
                with self._writes:
                    volumes.write(self._place(volume), volumes.files(self._store, pod, volume), self._group)

    # -- its thread -------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self.pod["spec"]["containers"][0]["name"]

    @property
    def _group(self) -> int | None:
        return (self.pod["spec"].get("securityContext") or {}).get("fsGroup")

    def _place(self, volume: Object) -> Path:
        return self.directory / "volumes" / volume["name"]

    def _write(self, name: str, text: str) -> None:
        place = self.directory / "names" / name
        partial = place.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(place)

    def _run(self) -> None:
        for part in ("volumes", "names", "disk"):
            (self.directory / part).mkdir(parents=True)
        (self.directory / "termination-log").touch(mode=0o666)
        self._write("hostname", container_spec.hostname(self.pod) + "\n")
        self.write_names(f"127.0.0.1\tlocalhost\n{self.host.data_address}\t{container_spec.hostname(self.pod)}\n")
        description = self._described()
        if description is None:
            self._ended.set()
            self._end(pod_status.never_started(self.pod))
            return
        self._start(description)

    def _described(self) -> Object | None:
        """Return what to tell the runtime, once all that the pod needs is there; None if it is deleted before."""
        while not self._deleted.is_set():
            version = self._store.version
            waiting = self._obstacle()
            if waiting is None:
                return self._description()
            self._report(pod_status.waiting(self.pod, *waiting))
            self._store.wait(version, 0.5)
        return None

    def _obstacle(self) -> tuple[str, str] | None:
        """Return why the container cannot start now, as reason and message."""
        if self.image_problem is not None:
            return self.image_problem
        lacking = container_spec.not_modelled(self.pod)
        if lacking:
            return "CreateContainerConfigError", f"this stand-in for a kubelet does not model {lacking}"
        try:
            with self._writes:
                for volume in self.pod["spec"].get("volumes") or ():
                    self._make_volume(volume)
        except volumes.MountError as problem:
            record(self._store, self.pod, "kubelet", "FailedMount", str(problem), is_warning=True)
            return "ContainerCreating", ""
        return None

    def _make_volume(self, volume: Object) -> None:
        place = self._place(volume)
        if any(kind in volume for kind in container_spec.FILES):
            volumes.write(place, volumes.files(self._store, self.pod, volume), self._group)
        elif "persistentVolumeClaim" in volume:
            (self._claims / volume["persistentVolumeClaim"]["claimName"]).mkdir(mode=0o777, exist_ok=True)
        else:
            place.mkdir(mode=0o777, exist_ok=True)

    def _description(self) -> Object:
        pod, container = self.pod, self.pod["spec"]["containers"][0]
        variables = container_spec.environment(pod, self._image.path, self._value_of)
        return {
            "init_pid": self.host.init_pid,
            "disk": str(self.directory / "disk"),
            "names": str(self.directory / "names"),
            "image": self._image.binds,
            "mounts": container_spec.mounts(pod, self.directory / "volumes", self._claims),
            "termination_log": str(self.directory / "termination-log"),
            "termination_path": container["terminationMessagePath"],
            "hostname": container_spec.hostname(pod),
            "directory": container.get("workingDir", ""),
            "command": container_spec.command(pod, variables),
            "env": variables,
            **container_spec.identity(pod),
        }

    def _value_of(self, kind: str, wanted: Object) -> str:
        plural = {"secretKeyRef": "secret", "configMapKeyRef": "configMap"}[kind]
        volume = {"name": "env", plural: {"name": wanted["name"], "secretName": wanted["name"]}}
        return volumes.files(self._store, self.pod, volume)[wanted["key"]][0].decode()

    def _start(self, description: Object) -> None:
        record(self._store, self.pod, "kubelet", "Pulled", "Container image is already present on machine")
        self.log = Log()
        reports, report = os.pipe()
        (out, out_end), (errors, errors_end) = os.pipe(), os.pipe()
        argv = [os.path.realpath(sys.executable), "-I", "-S", str(RUNTIME), str(report)]
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=out_end,
            stderr=errors_end,
            pass_fds=(report,),
            start_new_session=True,
            cwd="/",
            env={"LANG": "C.UTF-8"},
        )
        for descriptor in (report, out_end, errors_end):
            os.close(descriptor)
        readers = [threading.Thread(target=self.log.read_stream, args=(one,), daemon=True) for one in (out, errors)]
        for reader in readers:
            reader.start()
        started = now()
        with open(reports, "rb") as stream, contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps(description).encode() + b"\n")
            self._process.stdin.flush()
            self._follow(stream, readers, started)
        self._process.wait()

    def _follow(self, reports: Any, readers: list[threading.Thread], started: str) -> None:
        """Report what the runtime tells: the start, and the end."""
        first = json.loads(reports.readline() or b'{"failed": "the runtime ended"}')
        if "pid" in first:
            self.pid = first["pid"]
            record(self._store, self.pod, "kubelet", "Started", f"Started container {self._name}")
            self._report(pod_status.running(self.pod, self.host, started))
            if self._deleted.is_set():
                self.stop(self._grace)
        end = json.loads(reports.readline() or b'{"code": null}') if "pid" in first else {"code": 128}
        if end["code"] is None or self._ended.is_set():
            # The host is gone, and its kubelet with it: nobody reports, and who follows the log is not told.
            self.is_lost = self.is_stuck = True
            self._ended.set()
            return
        for reader in readers:
            reader.join()
        self.log.end()
        self._ended.set()
        message = (self.directory / "termination-log").read_bytes()[:4096].decode(errors="replace")
        reason = "OOMKilled" if self.is_oom_killed else "Error" if end["code"] else "Completed"
        if "failed" in first:
            reason, message = "StartError", f"failed to create containerd task: {first['failed']}"
        status = pod_status.ended(self.pod, self.host, started, end["code"], reason, message)
        self._end(status if self.eviction is None else pod_status.evicted(status, self.eviction))

    def _report(self, status: Object) -> None:
        while self.is_silent() and not self._store.closed:
            self._store.wait(self._store.version, 0.5)
        self._store.edit("pods", self.pod, lambda value: value["status"].update(pod_status.kept(value, status)))

    def _end(self, status: Object) -> None:
        for timer in self._timers:
            timer.cancel()
        self._report(status)
        if self._deleted.is_set():
            self.leave()

    def leave(self) -> None:
        """Let the pod go: it has ended, and was deleted."""
        if self.is_stuck:
            return

        def edit(value: Object) -> None:
            if "deletionTimestamp" in value["metadata"]:
                value["metadata"]["deletionGracePeriodSeconds"] = 0

        self._store.edit("pods", self.pod, edit)
