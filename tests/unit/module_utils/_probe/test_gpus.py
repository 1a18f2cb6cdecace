# SPDX-License-Identifier: Apache-2.0
"""
GPU facts from trees that look like the kernel's, and from tools' outputs.

No test here has seen a GPU: the trees follow the kernel's documentation of KFD and the NVIDIA driver's
of its proc directory, and the outputs are written after the documentation of amd-smi, rocm-smi and
nvidia-smi. They are not taken from machines with GPUs.
"""

import json
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import vendor_tools
from ansible_collections.madctl.multinode.plugins.module_utils._probe import gpus

ME = pwd.getpwuid(os.getuid()).pw_name
SEEN = Path(__file__).parent / "gpus"
NOTHING = {"vendor": None, "count": 0, "models": [], "driver": None, "source": None, "holders": []}


def write(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def process(root, pid, words, name=None, uid=None, state="S", started=100.0, environment=""):
    """Make a process's directory; ``started`` is in seconds after the start of the machine."""
    ticks = int(started * os.sysconf("SC_CLK_TCK"))
    name = name or words[0].rpartition("/")[2][:15]
    write(
        root / "proc" / str(pid),
        {
            "comm": name + "\n",
            "cmdline": "".join(word + "\0" for word in words),
            "status": f"Name:\t{name}\nState:\t{state}\nUid:\t{os.getuid() if uid is None else uid}\t0\t0\t0\n",
            "stat": f"{pid} ({name}) {state} 1 1 1 0 -1 4194304 9 0 0 0 5 5 0 0 20 0 1 0 {ticks} 1000 200 0\n",
            "environ": environment,
        },
    )
    write(root, {"proc/uptime": "1000.50 7000.00\n"})


def opens(root, pid, *devices):
    directory = root / "proc" / str(pid) / "fd"
    directory.mkdir()
    for number, device in enumerate(devices):
        (directory / str(number)).symlink_to(device)


@pytest.fixture
def no_tools(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """Return a function that puts a program on PATH; ``body`` is what it does when it really runs."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")

    def make(name, body="exit 99", directory=directory):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(f"#!/bin/sh\n{body}\n")
        (directory / name).chmod(0o755)
        return str(directory / name)

    return make


def answers(given):
    """Stand in for running programs: give the text kept under the program's name, or raise it."""

    def run(argv):
        text = given[os.path.basename(argv[0])]
        text = text(argv) if callable(text) else text
        if isinstance(text, Exception):
            raise text
        return text

    return run


def never(argv):
    raise AssertionError(f"no program may run, but {argv} did")


NODES = "sys/class/kfd/kfd/topology/nodes"
GPU = "cpu_cores_count 0\nsimd_count 1216\ngfx_target_version {target}\ndrm_render_minor {minor}\n"


@pytest.fixture
def amd(tmp_path):
    """Two processors and two GPUs, of which only one's board says how it is sold."""
    write(
        tmp_path,
        {
            f"{NODES}/0/properties": "cpu_cores_count 64\nsimd_count 0\ngfx_target_version 0\n",
            f"{NODES}/0/gpu_id": "0\n",
            f"{NODES}/1/properties": "cpu_cores_count 64\nsimd_count 0\ngfx_target_version 0\n",
            f"{NODES}/1/gpu_id": "0\n",
            f"{NODES}/2/properties": GPU.format(target=90402, minor=128),
            f"{NODES}/2/gpu_id": "28851\n",
            f"{NODES}/10/properties": GPU.format(target=90010, minor=136),
            f"{NODES}/10/gpu_id": "43178\n",
            "sys/class/drm/renderD128/device/product_name": "AMD Instinct MI300X\n",
            "sys/module/amdgpu/version": "6.8.5\n",
        },
    )
    return tmp_path


def test_amd_in_the_kernel_s_view(amd, no_tools):
    assert gpus.gpus(str(amd), never) == {
        "vendor": "amd",
        "count": 2,
        "models": ["AMD Instinct MI300X", "gfx90a"],
        "driver": "6.8.5",
        "source": "kernel",
        "holders": [],
    }


@pytest.mark.parametrize(
    ("version", "model"), [("90010", "gfx90a"), ("90402", "gfx942"), ("100300", "gfx1030"), ("110001", "gfx1101")]
)
def test_the_instruction_set_s_name(amd, version, model):
    write(amd, {f"{NODES}/10/properties": GPU.format(target=version, minor=136)})

    assert gpus.gpus(str(amd), never)["models"][1] == model


def test_amd_with_nothing_but_a_name(amd):
    write(amd, {f"{NODES}/10/properties": "simd_count 8\n", f"{NODES}/10/name": "vega20\n"})
    (amd / "sys/module/amdgpu/version").unlink()

    assert gpus.gpus(str(amd), never)["models"] == ["AMD Instinct MI300X", "vega20"]
    assert gpus.gpus(str(amd), never)["driver"] is None


def test_amd_gpus_that_are_hidden_from_this_process_do_not_count(amd, no_tools):
    for number in (2, 10):
        (amd / f"{NODES}/{number}/properties").unlink()
        (amd / f"{NODES}/{number}/properties").mkdir()  # Cannot be read, by root neither.

    assert gpus.gpus(str(amd), never) == NOTHING


def test_amd_holders(amd):
    process(amd, 700, ["python3", "-u", "train.py"], environment="A=1\0MADCTL_RUN_ID=run-7\0", started=900.25)
    process(amd, 800, ["/opt/serve"], uid=987654)
    process(amd, 900, ["rocminfo"])
    process(amd, os.getpid(), ["madctl"])
    write(
        amd / "sys/class/kfd/kfd/proc",
        {
            "700/vram_28851": "1048576\n",
            "700/vram_43178": "0\n",
            "700/queues/3/gpuid": "43178\n",
            "800/vram_28851": "0\n",
            "800/vram_43178": "4096\n",
            # It has looked at the GPUs and holds none of them.
            "900/vram_28851": "0\n",
            "900/vram_43178": "0\n",
            f"{os.getpid()}/vram_28851": "4096\n",
        },
    )

    assert gpus.gpus(str(amd), never)["holders"] == [
        {
            "pid": 700,
            "user": ME,
            "command": "python3 -u train.py",
            "age_seconds": 100.25,
            "run_id": "run-7",
            "gpus": [0, 1],
        },
        {"pid": 800, "user": "987654", "command": "/opt/serve", "age_seconds": 900.5, "run_id": None, "gpus": [1]},
    ]


def test_a_holder_that_proc_does_not_show_is_still_one(amd):
    write(amd, {"sys/class/kfd/kfd/proc/4242/vram_28851": "1\n"})

    assert gpus.gpus(str(amd), never)["holders"] == [
        {"pid": 4242, "user": "unknown", "command": "", "age_seconds": None, "run_id": None, "gpus": [0]}
    ]


def test_what_can_hang_is_not_read_of_a_stuck_process(amd):
    process(amd, 700, ["python3", "train.py"], state="D", environment="MADCTL_RUN_ID=run-7\0")
    write(amd, {"sys/class/kfd/kfd/proc/700/vram_28851": "1\n"})
    for name in ("cmdline", "environ"):
        path = amd / "proc/700" / name
        path.unlink()
        os.mkfifo(path)  # Opening it to read waits forever.
    (holder,) = gpus.gpus(str(amd), never)["holders"]

    assert (holder["command"], holder["run_id"], holder["user"]) == ("python3", None, ME)


def test_a_name_with_parentheses_does_not_shift_the_age(amd):
    process(amd, 700, ["x"], name="a) S 1 (b", started=1000.0)
    write(amd, {"sys/class/kfd/kfd/proc/700/vram_28851": "1\n"})

    assert gpus.gpus(str(amd), never)["holders"][0]["age_seconds"] == 0.5


INFORMATION = "Model: \t\t {model}\nIRQ:   \t\t 120\nGPU UUID: \t {uuid}\nBus Location: \t 0000:{bus}:00.0\nDevice Minor: \t {minor}\n{more}"


@pytest.fixture
def nvidia(tmp_path):
    """Three GPUs, of which one is excluded by the administrator; minors are not in the order of addresses."""
    for bus, minor, more in (("17", 1, ""), ("3d", 0, "GPU Excluded:\t No\n"), ("60", 2, "GPU Excluded:\t Yes\n")):
        text = INFORMATION.format(model="NVIDIA H100 80GB HBM3", uuid=f"GPU-{bus}", bus=bus, minor=minor, more=more)
        write(tmp_path, {f"proc/driver/nvidia/gpus/0000:{bus}:00.0/information": text})
    write(
        tmp_path,
        {
            "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
            "GCC version:  gcc version 12.3.0\n"
        },
    )
    return tmp_path


def test_nvidia_in_the_kernel_s_view(nvidia, no_tools):
    assert gpus.gpus(str(nvidia), never) == {
        "vendor": "nvidia",
        "count": 2,
        "models": ["NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"],
        "driver": "535.104.05",
        "source": "kernel",
        "holders": [],
        "uuids": ["GPU-17", "GPU-3d"],
    }


def test_the_open_driver_s_version(nvidia):
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (builder@host)\n"
    write(nvidia, {"proc/driver/nvidia/version": text})

    assert gpus.gpus(str(nvidia), never)["driver"] == "570.86.15"


def test_nvidia_holders(nvidia):
    process(nvidia, 700, ["python3", "train.py"], environment="MADCTL_RUN_ID=run-8\0")
    opens(nvidia, 700, "/dev/null", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia1", "/dev/nvidia1", "/dev/nvidia0")
    process(nvidia, 701, ["/usr/bin/nvidia-smi"])
    opens(nvidia, 701, "/dev/nvidiactl")
    process(nvidia, 702, ["/usr/bin/nvidia-persistenced", "--verbose"])
    opens(nvidia, 702, "/dev/nvidia0", "/dev/nvidia1")
    process(nvidia, os.getpid(), ["python3"])
    opens(nvidia, os.getpid(), "/dev/nvidia0")
    process(nvidia, 703, ["sh"])

    assert gpus.gpus(str(nvidia), never)["holders"] == [
        {
            "pid": 700,
            "user": ME,
            "command": "python3 train.py",
            "age_seconds": 900.5,
            "run_id": "run-8",
            # By address: minor 1 is the first.
            "gpus": [0, 1],
        }
    ]


def test_the_index_of_an_nvidia_gpu_is_by_address_and_not_by_minor(nvidia):
    process(nvidia, 700, ["python3"])
    opens(nvidia, 700, "/dev/nvidia0")

    assert gpus.gpus(str(nvidia), never)["holders"][0]["gpus"] == [1]


def test_nothing_at_all(tmp_path, no_tools):
    assert gpus.gpus(str(tmp_path), never) == NOTHING


def test_this_machine_answers():
    found = gpus.gpus()

    assert found["count"] == len(found["models"])
    assert json.loads(json.dumps(found)) == found


def amd_smi(*devices):
    return [
        {
            "gpu": index,
            "asic": {"market_name": market, "vendor_id": "0x1002", "target_graphics_version": "gfx942"},
            "board": {"model_number": "102-G30211-0C", "product_name": product, "manufacturer_name": "AMD"},
            "driver": driver,
        }
        for index, market, product, driver in devices
    ]


NEW = {"name": "amdgpu", "version": "6.10.5"}
OLD = {"driver_name": "amdgpu", "driver_version": "6.1.5"}


@pytest.mark.parametrize(
    ("text", "models", "driver"),
    [
        (
            json.dumps(
                amd_smi((0, "MI300X-O", "AMD Instinct MI300X OAM", NEW), (1, "AMD Instinct MI300X", "N/A", NEW))
            ),
            ["AMD Instinct MI300X OAM", "AMD Instinct MI300X"],
            "6.10.5",
        ),
        (
            # In the order of their numbers, whatever the order printed.
            json.dumps(amd_smi((1, "AMD Instinct MI210", "N/A", OLD), (0, "N/A", "N/A", OLD)), indent=4),
            ["gfx942", "AMD Instinct MI210"],
            "6.1.5",
        ),
        (
            "WARNING: User is missing the following required groups: render\n"
            + json.dumps({"gpu_data": amd_smi((0, "AMD Instinct MI355X", "N/A", NEW))}, indent=4),
            ["AMD Instinct MI355X"],
            "6.10.5",
        ),
        (json.dumps([{"gpu": 0, "asic": {}, "board": None, "driver": {"version": "N/A"}}]), ["unknown"], None),
    ],
)
def test_amd_smi(tmp_path, tools, text, models, driver):
    tools("amd-smi")
    found = gpus.gpus(str(tmp_path), answers({"amd-smi": text}))

    said = {"note": "amd-smi: WARNING: User is missing the following required groups: render"}
    assert found == {
        **NOTHING,
        **(said if "WARNING" in text else {}),
        "vendor": "amd",
        "count": len(models),
        "models": models,
        "driver": driver,
        "source": "amd-smi",
    }


@pytest.mark.parametrize("series", ["Card series", "Card Series", "Device Name"])
def test_rocm_smi(tmp_path, tools, series):
    tools("rocm-smi", directory=tmp_path / "opt/rocm/bin")
    answer = {f"card{index}": {series: f"AMD Instinct MI{index}", "Card model": "0x0c34"} for index in (10, 2)}
    text = "\n" + json.dumps({**answer, "system": {"Driver version": "5.16.9.22.20"}}) + "\n"
    found = gpus.gpus(str(tmp_path), answers({"rocm-smi": text}))

    assert (found["vendor"], found["source"], found["driver"]) == ("amd", "rocm-smi", "5.16.9.22.20")
    assert found["models"] == ["AMD Instinct MI2", "AMD Instinct MI10"]


def test_rocm_smi_without_gpus(tmp_path, tools):
    tools("rocm-smi")

    assert gpus.gpus(str(tmp_path), answers({"rocm-smi": "WARNING: No JSON data to report\n"})) == NOTHING


def test_a_tool_of_amd_leaves_holders_to_the_kernel(tmp_path, tools):
    tools("amd-smi")
    process(tmp_path, 700, ["python3"])
    write(tmp_path, {"sys/class/kfd/kfd/proc/700/vram_28851": "1\n"})
    found = gpus.gpus(str(tmp_path), answers({"amd-smi": json.dumps(amd_smi((0, "X", "N/A", NEW)))}))

    assert [(holder["pid"], holder["gpus"]) for holder in found["holders"]] == [(700, [])]


def nvidia_smi(apps):
    def answer(argv):
        if any(word.startswith("--query-compute-apps") for word in argv):
            return apps
        return "1, NVIDIA A100-SXM4-80GB, 550.54.15, GPU-b\n0, NVIDIA A100-SXM4-80GB, 550.54.15, GPU-a\n"

    return answers({"nvidia-smi": answer})


def test_nvidia_smi(tmp_path, tools):
    tools("nvidia-smi")
    process(tmp_path, 700, ["python3", "train.py"])
    found = gpus.gpus(
        str(tmp_path), nvidia_smi(f"700, GPU-b\n700, GPU-a\n701, GPU-b\n{os.getpid()}, GPU-a\n[N/A], GPU-a\n")
    )

    assert (found["vendor"], found["source"], found["driver"]) == ("nvidia", "nvidia-smi", "550.54.15")
    assert found["models"] == ["NVIDIA A100-SXM4-80GB"] * 2
    assert [(holder["pid"], holder["user"], holder["gpus"]) for holder in found["holders"]] == [
        (700, ME, [0, 1]),
        (701, "unknown", [1]),
    ]
    assert "note" not in found


@pytest.mark.parametrize("text", ["", "No devices were found\n"])
def test_nvidia_smi_without_gpus(tmp_path, tools, text):
    tools("nvidia-smi")

    assert gpus.gpus(str(tmp_path), answers({"nvidia-smi": text})) == NOTHING


@pytest.mark.parametrize("name", ["amd-smi", "rocm-smi", "nvidia-smi"])
@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (subprocess.TimeoutExpired("x", 5), "no answer within 5 s"),
        (subprocess.CalledProcessError(9, "x"), "exit code 9"),
        (OSError(8, "Exec format error"), "could not be started: exec format error"),
    ],
)
def test_a_tool_that_fails_is_noted_and_finds_nothing(tmp_path, tools, name, answer, note):
    tools(name)

    assert gpus.gpus(str(tmp_path), answers({name: answer})) == {**NOTHING, "note": f"{name}: {note}"}


@pytest.mark.parametrize("name", ["amd-smi", "rocm-smi", "nvidia-smi"])
@pytest.mark.parametrize(
    "garbage",
    [
        "Segmentation fault\n",
        "{",
        "[[[]]]",
        "[1, 2]",
        '{"gpu_data": 3}',
        '{"card0": "AMD"}',
        '[{"asic": {}}]',
        '[{"gpu": "first", "asic": {}}]',
        "a, b, c, d\n",
        "0, NVIDIA A100\n",
    ],
)
def test_garbage_is_noted_and_finds_nothing(tmp_path, tools, name, garbage):
    tools(name)
    found = gpus.gpus(str(tmp_path), answers({name: garbage}))

    assert found.pop("note").startswith(f"{name}: ")
    assert found == NOTHING


@pytest.mark.parametrize(
    ("name", "said"), [("nvidia-smi", "it printed: so"), ("amd-smi", "no JSON in what it printed: so")]
)
def test_what_a_tool_prints_instead_of_an_answer_is_noted(tmp_path, tools, name, said):
    tools(name)

    assert gpus.gpus(str(tmp_path), answers({name: "so\n"})) == {**NOTHING, "note": f"{name}: {said}"}


def test_the_next_tool_runs_when_one_fails_and_both_are_reported(tmp_path, tools):
    tools("amd-smi")
    tools("rocm-smi")
    text = json.dumps({"card0": {"Card Series": "AMD Instinct MI250X"}, "system": {"Driver version": "6.7.0"}})
    found = gpus.gpus(str(tmp_path), answers({"amd-smi": subprocess.CalledProcessError(255, "x"), "rocm-smi": text}))

    assert (found["count"], found["source"], found["note"]) == (1, "rocm-smi", "amd-smi: exit code 255")


def test_a_real_program_is_run(tmp_path, tools):
    text = json.dumps(amd_smi((0, "AMD Instinct MI300A", "N/A", NEW)))
    tools("amd-smi", f"[ \"$*\" = 'static --asic --board --driver --json' ] || exit 2\necho '{text}'\necho noise >&2")

    assert gpus.gpus(str(tmp_path))["models"] == ["AMD Instinct MI300A"]


def test_a_real_program_that_hangs_is_ended_with_its_children(tmp_path, tools, monkeypatch):
    monkeypatch.setattr(vendor_tools, "TOOL_SECONDS", 4)
    tools("amd-smi", f"echo $$ > {tmp_path}/pid; sleep 300 & sleep 300")
    started = time.monotonic()
    found = gpus.gpus(str(tmp_path))

    # Not a measurement: the tool itself would take 300 seconds.
    assert time.monotonic() - started < 200
    assert found == {**NOTHING, "note": "amd-smi: no answer within 4 s"}
    # A killed process needs a moment to end.
    while alive_in_group(int((tmp_path / "pid").read_text())) and time.monotonic() - started < 200:
        time.sleep(0.01)
    assert alive_in_group(int((tmp_path / "pid").read_text())) == []


def alive_in_group(group):
    """Return a group's processes, without those that only wait to be collected."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stream:
                state, _, pgrp = stream.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        found += [int(entry)] if int(pgrp) == group and state != "Z" else []
    return found


def test_a_tool_that_cannot_be_ended_is_left_alone(tmp_path, tools, monkeypatch):
    monkeypatch.setattr(vendor_tools, "TOOL_SECONDS", 4)
    # Nothing can ignore being killed; a new session that keeps the output open is similar.
    tools("amd-smi", f"setsid sleep 300 & echo $! > {tmp_path}/pid; wait")
    started = time.monotonic()
    try:
        found = gpus.gpus(str(tmp_path))
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    assert time.monotonic() - started < 200
    assert found == {**NOTHING, "note": "amd-smi: no answer within 4 s"}


def test_a_real_program_that_fails_or_does_not_start(tmp_path, tools):
    tools("rocm-smi", "echo boom >&2; exit 7")
    path = tools("nvidia-smi")
    with open(path, "w") as stream:
        stream.write("#!/no/such/interpreter\n")

    assert gpus.gpus(str(tmp_path)) == {
        **NOTHING,
        "note": "rocm-smi: exit code 7: boom; nvidia-smi: could not be started: no such file or directory",
    }


# -- as people met them ---------------------------------------------------------------------------


def seen(name):
    return (SEEN / name).read_text()


@pytest.mark.parametrize("code", [0, 14, 15])
@pytest.mark.parametrize(("name", "count"), [("nvidia-smi-inforom.csv", 2), ("nvidia-smi-lost.csv", 3)])
def test_rows_of_nvidia_smi_count_whatever_else_it_prints(tmp_path, tools, name, count, code):
    tools("nvidia-smi")
    text = seen(name)
    answer = subprocess.CalledProcessError(code, "x", text) if code else text
    found = gpus.gpus(str(tmp_path), answers({"nvidia-smi": lambda argv: answer if "gpu=" in argv[1] else ""}))

    assert (found["count"], found["vendor"]) == (count, "nvidia")
    assert ("infoROM is corrupted" in found["note"]) == (count == 2)
    assert ("Unable to determine the device handle" in found["note"]) == (count == 3)
    assert (f"exit code {code}" in found["note"]) == bool(code)


def test_a_real_nvidia_smi_that_fails_with_rows(tmp_path, tools):
    tools("nvidia-smi", f"case $1 in --query-gpu*) cat {SEEN}/nvidia-smi-lost.csv;; esac; exit 15")

    assert gpus.gpus(str(tmp_path))["count"] == 3


def test_the_words_of_a_tool_that_fails_are_reported(tmp_path, tools):
    tools("nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not communicate'; exit 9")
    found = gpus.gpus(str(tmp_path))

    assert found["note"] == "nvidia-smi: exit code 9: NVIDIA-SMI has failed because it could not communicate"
    assert len(gpus.gpus(str(tmp_path), answers({"nvidia-smi": "x" * 100000}))["note"]) < 300


def test_lost_gpus_in_rows_do_not_count(tmp_path, tools):
    tools("nvidia-smi")
    text = "0, [GPU is lost], 550.1, [GPU is lost]\n1, NVIDIA A100, 550.1, GPU-b\n"
    found = gpus.gpus(str(tmp_path), answers({"nvidia-smi": lambda argv: text if "gpu=" in argv[1] else ""}))

    assert (found["count"], "GPU is lost" in found["note"]) == (1, True)


def test_no_devices_is_not_a_failure_with_any_exit_code(tmp_path, tools):
    tools("nvidia-smi", "echo No devices were found; exit 6")

    assert gpus.gpus(str(tmp_path)) == NOTHING


@pytest.mark.parametrize(
    ("name", "models", "words"),
    [
        ("amd-smi-permission-rocm7.txt", ["AMD Instinct MI250X"] * 2, "Permission needed to access"),
        ("amd-smi-two-documents.txt", ["AMD Instinct MI300X OAM"] * 2, None),
    ],
)
def test_amd_smi_with_more_than_one_document_of_json(tmp_path, tools, name, models, words):
    tools("amd-smi")
    found = gpus.gpus(str(tmp_path), answers({"amd-smi": seen(name)}))

    assert (found["count"], found["models"]) == (2, models)
    assert (words in found["note"]) if words else ("note" not in found)


@pytest.mark.parametrize(
    "text",
    [
        "[WARNING] something is old\n" + json.dumps(amd_smi((0, "X", "N/A", NEW))),
        json.dumps({"gpu_data": amd_smi((0, "X", "N/A", NEW))}) + "\n" + json.dumps({"gpu_data": []}),
        json.dumps(amd_smi((0, "X", "N/A", NEW))) + "\nDone {\n",
        json.dumps([{"gpu": 0, "asic": {"market_name": "X"}, "board": "N/A", "driver": "N/A"}]),
    ],
)
def test_amd_smi_with_words_around_its_json(tmp_path, tools, text):
    tools("amd-smi")

    assert gpus.gpus(str(tmp_path), answers({"amd-smi": text}))["models"] == ["X"]


def test_amd_smi_that_fails_with_an_answer(tmp_path, tools):
    tools("amd-smi", f"cat {SEEN}/amd-smi-two-documents.txt; exit 1")
    found = gpus.gpus(str(tmp_path))

    assert (found["count"], "exit code 1" in found["note"]) == (2, True)


@pytest.fixture
def four(tmp_path):
    """Make NVIDIA's directory with four GPUs, of which some do not answer."""

    def make(*dead):
        for number in range(4):
            name = "dead" if number in dead else "alive"
            text = (
                seen(f"nvidia-proc-information-{name}.txt").replace("MINOR", str(number)).replace("N\n", f"{number}\n")
            )
            write(tmp_path, {f"proc/driver/nvidia/gpus/0000:{number}8:00.0/information": text})
        return str(tmp_path)

    return make


def test_a_dead_nvidia_gpu_is_not_counted_and_is_named(four, no_tools):
    found = gpus.gpus(four(1), never)

    assert (found["count"], found["dead"]) == (3, ["0000:18:00.0 (NVIDIA H100 80GB HBM3)"])


def test_gpus_that_were_not_used_yet_are_not_dead(four, no_tools):
    assert gpus.gpus(four(0, 1, 2, 3), never)["count"] == 4


@pytest.mark.parametrize(("listed", "count"), [("0123", 4), ("023", 3), ("0", 1)])
def test_nvidia_smi_distinguishes_dead_from_asleep(four, tools, listed, count):
    tools("nvidia-smi")
    text = "".join(f"00000000:{number}8:00.0\n" for number in listed)
    found = gpus.gpus(four(1, 2, 3), answers({"nvidia-smi": text}))

    assert (found["count"], len(found.get("dead", []))) == (count, 4 - count)


def test_all_gpus_dead_does_not_mean_no_gpu(four, tools):
    tools("nvidia-smi")
    found = gpus.gpus(four(0, 1, 2, 3), answers({"nvidia-smi": "00000000:99:00.0\n"}))

    assert (found["vendor"], found["count"], len(found["dead"])) == ("nvidia", 0, 4)


def kfd(root, *properties):
    for number, name in enumerate(properties, 1):
        write(
            root,
            {
                f"{NODES}/{number}/properties": seen(f"kfd-properties-{name}.txt"),
                f"{NODES}/{number}/gpu_id": f"{number}",
            },
        )
    return str(root)


@pytest.mark.parametrize(
    ("nodes", "models"),
    [
        (("apu", "mi300x"), ["gfx942"]),
        (("mi300x", "apu", "mi300x"), ["gfx942", "gfx942"]),
        (("apu",), ["gfx902"]),
    ],
)
def test_a_processor_s_own_gpu_counts_only_where_there_is_no_other(tmp_path, no_tools, nodes, models):
    assert gpus.gpus(kfd(tmp_path, *nodes), never)["models"] == models


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's files")
@pytest.mark.parametrize("closed", ["dev/kfd", "dev/dri/renderD129"])
def test_a_device_that_may_not_be_opened_is_reported(tmp_path, closed):
    root = kfd(tmp_path, *["mi300x"] * 8)
    write(tmp_path, {"dev/kfd": "", "dev/dri/renderD129": ""})
    for path in [tmp_path, *tmp_path.parents]:
        if path.stat().st_mode & 0o1000:
            break  # All may enter the directory of temporary files.
        path.chmod(0o755)
    for name in ("dev/kfd", "dev/dri/renderD129"):
        (tmp_path / name).chmod(0o600 if name == closed else 0o666)
    assert "denied" not in gpus.gpus(root, never)
    os.seteuid(65534)
    try:
        found = gpus.gpus(root, never)
    finally:
        os.seteuid(0)

    assert {entry["path"] for entry in found["denied"]} == {"/" + closed}
    assert found["denied"][0]["group"] == "root"


def test_a_device_that_is_missing_beside_the_kernel_s_view(tmp_path):
    root = kfd(tmp_path, "mi300x")
    write(tmp_path, {"dev/null": ""})
    found = gpus.gpus(root, never)["denied"]

    assert found == [{"path": "/dev/kfd", "group": None}, {"path": "/dev/dri/renderD129", "group": None}]
