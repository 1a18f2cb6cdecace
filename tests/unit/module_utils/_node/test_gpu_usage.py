# SPDX-License-Identifier: Apache-2.0
"""
The use of GPUs, from trees that look like the kernel's, and from tools' outputs.

No test here has seen a GPU: the trees follow the kernel's documentation of amdgpu, and the outputs are written after
the documentation of amd-smi, rocm-smi and nvidia-smi. They are not taken from machines with GPUs.
"""

import json
import math
import os
import subprocess

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import usage
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import fields
from ansible_collections.madctl.multinode.plugins.module_utils._node import gpu_usage

GIB = 1 << 30
KFD = "sys/class/kfd/kfd"
CARD = "sys/class/drm/renderD%d/device"


def write(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def never(argv):
    raise AssertionError(f"no program may run, but {argv} did")


def gpu(busy=None, used=None, total=None, watts=None, degrees=None):
    values = (busy, used, total, watts, degrees)
    names = ("busy_percent", "memory_bytes", "memory_total_bytes", "power_watts", "temperature_celsius")
    return dict(zip(names, values, strict=True))


@pytest.fixture
def amd(tmp_path, monkeypatch):
    """Two GPUs, of which the second one's driver is old; a process computes on both, another on the second."""
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    first, second = (CARD % minor for minor in (128, 136))
    for node, minor, number in ((2, 128, 28851), (10, 136, 43178)):
        properties = f"cpu_cores_count 0\nsimd_count 1216\ndrm_render_minor {minor}\n"
        write(tmp_path, {f"{KFD}/topology/nodes/{node}/properties": properties})
        write(tmp_path, {f"{KFD}/topology/nodes/{node}/gpu_id": f"{number}\n"})
    write(
        tmp_path,
        {
            f"{KFD}/topology/nodes/0/properties": "cpu_cores_count 64\nsimd_count 0\n",
            f"{first}/gpu_busy_percent": "97\n",
            f"{first}/mem_info_vram_used": f"{150 * GIB}\n",
            f"{first}/mem_info_vram_total": f"{192 * GIB}\n",
            f"{first}/hwmon/hwmon7/power1_average": "712000000\n",
            f"{first}/hwmon/hwmon7/temp1_input": "51000\n",
            f"{first}/hwmon/hwmon7/temp1_label": "edge\n",
            f"{first}/hwmon/hwmon7/temp2_input": "71000\n",
            f"{first}/hwmon/hwmon7/temp2_label": "junction\n",
            f"{first}/hwmon/hwmon7/temp3_input": "90000\n",
            f"{first}/hwmon/hwmon7/temp3_label": "mem\n",
            f"{second}/mem_info_vram_used": "0\n",
            f"{second}/hwmon/hwmon8/power1_input": "95500000\n",
            f"{second}/hwmon/hwmon8/temp1_input": "40000\n",
            f"{KFD}/proc/500/vram_28851": "4096\n",
            f"{KFD}/proc/500/vram_43178": "4096\n",
            f"{KFD}/proc/600/vram_28851": "0\n",
            f"{KFD}/proc/600/vram_43178": "8192\n",
        },
    )
    return tmp_path


def test_what_the_kernel_says_of_amd_s_gpus(amd):
    found = gpu_usage.measure(str(amd), never)

    assert found.source == "kernel"
    assert found.gpus == [gpu(97.0, 150 * GIB, 192 * GIB, 712.0, 71.0), gpu(None, 0, None, 95.5, 40.0)]
    assert found.pids == [[500], [500, 600]]
    assert gpu_usage.may_have(str(amd))
    assert not gpu_usage.needs_tool(str(amd))


@pytest.mark.parametrize("text", ["", "-5", "101", "nan", "inf", "1" * 400, "x", "\x1b[2J", "4294967295"])
def test_what_is_no_share_of_a_gpu_is_not_known(amd, text):
    write(amd, {CARD % 128 + "/gpu_busy_percent": text, CARD % 128 + "/hwmon/hwmon7/power1_average": "9" * 60})
    [first, _] = gpu_usage.measure(str(amd), never).gpus

    assert (first["busy_percent"], first["power_watts"], first["memory_bytes"]) == (None, None, 150 * GIB)


def test_a_node_without_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert gpu_usage.measure(str(tmp_path), never) == gpu_usage.Found([], [], None)
    assert not gpu_usage.may_have(str(tmp_path))


AMD_SMI = [
    {
        "gpu": 0,
        "usage": {"gfx_activity": {"value": 88, "unit": "%"}, "umc_activity": {"value": 1, "unit": "%"}},
        "power": {"socket_power": {"value": 550, "unit": "W"}, "gfx_voltage": "N/A"},
        "temperature": {"edge": "N/A", "hotspot": {"value": 66, "unit": "C"}, "mem": {"value": 50, "unit": "C"}},
        "mem_usage": {"total_vram": {"value": 196592, "unit": "MB"}, "used_vram": {"value": 1024, "unit": "MB"}},
    },
    {"gpu": 1, "usage": "N/A", "power": {"socket_power": "N/A"}, "temperature": "N/A", "mem_usage": "N/A"},
]
AMD_FOUND = [gpu(88.0, GIB, 196592 << 20, 550.0, 66.0), gpu()]
ROCM_SMI = {
    "card1": {"GPU use (%)": "0", "VRAM Total Memory (B)": "4096", "VRAM Total Used Memory (B)": "1024"},
    "card0": {
        "Temperature (Sensor edge) (C)": "44.0",
        "Temperature (Sensor junction) (C)": "51.0",
        "Temperature (Sensor memory) (C)": "48.0",
        "Average Graphics Package Power (W)": "210.5",
        "GPU use (%)": "73",
        "GPU Memory Allocated (VRAM%)": "3",
        "VRAM Total Memory (B)": "68702699520",
        "VRAM Total Used Memory (B)": "11030528",
    },
    "system": {"Driver version": "6.8.5"},
}
NVIDIA = """\
0, GPU-a, 100, 70000, 81559, 612.34, 63
1, GPU-b, [N/A], 12, 81559, [Not Supported], 31
2, [GPU is lost], [GPU is lost], 0, 0, 0, 0
"""
TOOLS = {
    "amd-smi": ("amd-smi", json.dumps(AMD_SMI), AMD_FOUND),
    "amd-smi, newer": ("amd-smi", "WARNING: no group\n" + json.dumps({"gpu_data": AMD_SMI}), AMD_FOUND),
    "amd-smi, older": (
        "amd-smi",
        json.dumps([{"gpu": 0, "usage": {"gfx_activity": 5}, "power": {"average_socket_power": 90}}]),
        [gpu(5.0, None, None, 90.0)],
    ),
    "rocm-smi": (
        "rocm-smi",
        json.dumps(ROCM_SMI),
        [gpu(73.0, 11030528, 68702699520, 210.5, 51.0), gpu(0.0, 1024, 4096)],
    ),
    "rocm-smi, newer": (
        "rocm-smi",
        json.dumps({"card0": {"Current Socket Graphics Package Power (W)": "150.0", "GPU use (%)": "1"}}),
        [gpu(1.0, None, None, 150.0)],
    ),
    "nvidia-smi": (
        "nvidia-smi",
        NVIDIA,
        [gpu(100.0, 70000 << 20, 81559 << 20, 612.3, 63.0), gpu(None, 12 << 20, 81559 << 20, None, 31.0)],
    ),
}


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Return a function that puts a program on PATH, and what runs it."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(name, text, apps="", error=None):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)

        def run(argv):
            assert os.path.basename(argv[0]) == name
            if error:
                raise error
            return apps if "--query-compute-apps=pid,gpu_uuid" in argv else text

        return run

    return make


@pytest.mark.parametrize(("name", "text", "expected"), TOOLS.values(), ids=TOOLS)
def test_what_a_tool_says(name, text, expected, tool, tmp_path):
    found = gpu_usage.measure(str(tmp_path / "root"), tool(name, text))

    assert (found.gpus, found.source, found.error) == (expected, name, None)
    assert len(found.pids) == len(expected)
    assert gpu_usage.may_have(str(tmp_path))
    assert gpu_usage.needs_tool(str(tmp_path))


def test_which_processes_compute_on_nvidia_s_gpus(tool, tmp_path):
    run = tool("nvidia-smi", NVIDIA, apps="500, GPU-b\n600, GPU-a\n700, GPU-a\n800, GPU-other\nx, GPU-a\n")

    assert gpu_usage.measure(str(tmp_path / "root"), run).pids == [[600, 700], [500]]


def test_the_tool_of_the_vendor_whose_driver_is_loaded_is_asked_first(tool, tmp_path):
    tool("amd-smi", "")
    run = tool("nvidia-smi", NVIDIA)
    (tmp_path / "root/proc/driver/nvidia/gpus").mkdir(parents=True)

    assert gpu_usage.measure(str(tmp_path / "root"), run).source == "nvidia-smi"


FAILURES = {
    "hangs": (subprocess.TimeoutExpired("x", 5), "no answer within 5 s"),
    "fails": (subprocess.CalledProcessError(9, "x", "", "no driver"), "exit code 9: no driver"),
    "is broken": (PermissionError(13, "Permission denied"), "could not be started: permission denied"),
}


@pytest.mark.parametrize(("error", "why"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("name", ["amd-smi", "rocm-smi", "nvidia-smi"])
def test_a_tool_without_an_answer(name, error, why, tool, tmp_path):
    found = gpu_usage.measure(str(tmp_path / "root"), tool(name, "", error=error))

    assert found == gpu_usage.Found([], [], None, f"{name}: {why}")


ODD = ["", "[]", "{}", "[7]", '{"gpu_data": 5}', '[{"gpu": "x"}]', '{"card0": 7}', '{"card0": {"GPU use (%)": []}}']


@pytest.mark.parametrize("text", [*ODD, "0, a, b", "0,,,,,,", "[" * 100_000])
@pytest.mark.parametrize("name", ["amd-smi", "rocm-smi", "nvidia-smi"])
def test_odd_output_of_a_tool_is_no_crash(name, text, tool, tmp_path):
    found = gpu_usage.measure(str(tmp_path / "root"), tool(name, text))

    assert all(fields(usage.GPU)({**entry, "ranks": []}) for entry in found.gpus)
    assert json.loads(json.dumps(found)) == [*map(list, [found.gpus, found.pids]), found.source, found.error]


@pytest.mark.parametrize("value", [None, True, [], {}, math.nan, math.inf, -1, 1 << 70, "", "-", "x1"])
def test_what_is_no_number(value):
    assert gpu_usage.number(value) is None


def test_numbers_with_units():
    assert [gpu_usage.number(text) for text in ("71 C", "3.14159W", "12%", 5)] == [71.0, 3.1, 12.0, 5.0]
