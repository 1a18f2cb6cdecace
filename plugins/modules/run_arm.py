#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Make a node ready to start its share of a run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_arm
short_description: Make a node ready to start its share of a run
description:
  - Creates the run directory, delivers the supervisor and starts it.
  - Nothing of the job runs before M(madctl.multinode.run_follow) says go.
author: The madctl authors
options:
  run_id:
    description: Identity of the run.
    type: str
    required: true
  run_dir:
    description: Directory that is created, readable by this user only.
    type: str
    required: true
  argv:
    description: The runner and its arguments.
    type: list
    elements: raw
    required: true
  env:
    description: Variables that are added to the environment of the runner.
    type: dict
    required: true
  cwd:
    description: Working directory of the runner.
    type: str
    required: true
  hostfile:
    description: Text of the host file that the job finds at E(MADCTL_HOSTFILE).
    type: str
    required: true
  start_timeout:
    description: Seconds to wait for readiness and then for go.
    type: float
    default: 60
  grace:
    description: Seconds between the request to stop and the kill.
    type: float
    default: 35
attributes:
  check_mode:
    description: Can run in check mode; then nothing is started.
    support: full
"""

EXAMPLES = r"""
- name: Arm this node
  madctl.multinode.run_arm:
    run_id: 20261123-example
    run_dir: /var/tmp/madctl-1000/20261123-example
    argv: [/usr/bin/true]
    env: {}
    cwd: /
    hostfile: ""
"""

RETURN = r"""
pid:
  description: Process id of the supervisor.
  returned: when started
  type: int
  sample: 4711
"""

import json
import os
import select
import subprocess
import sys

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.madctl.multinode.plugins.module_utils import _argv, _supervisor_source, _words


def deliver(run_dir, spec, hostfile):
    """Write the run directory; its creation is what makes a run id unique on this node."""
    base = os.path.dirname(run_dir)
    os.umask(0o077)
    if not os.path.isdir(base):
        os.makedirs(base, 0o700)
    if os.lstat(base).st_uid != os.geteuid():
        raise OSError("%s belongs to somebody else" % base)
    os.mkdir(run_dir, 0o700)
    for name in ("bin", "logs"):
        os.mkdir(os.path.join(run_dir, name))
    files = {"bin/" + name: text for name, text in _supervisor_source.texts().items()}
    files.update({"hostfile": hostfile, "spec.json": json.dumps(spec)})
    for name, text in files.items():
        with open(os.path.join(run_dir, name), "w", encoding="utf-8") as stream:
            stream.write(text)


def start(run_dir, seconds):
    """Start the supervisor and wait until it listens."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", os.path.join(run_dir, "bin", "_supervisor.py"), run_dir],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    ready = select.select([process.stdout], [], [], seconds)[0]
    if ready and process.stdout.readline() == b"ready\n":
        return process.pid
    process.kill()
    raise OSError(
        "the supervisor did not start: %s" % process.communicate()[1].decode("utf-8", "replace").strip()[-500:]
    )


def main():
    """Arm, or say with a code why not."""
    module = AnsibleModule(
        argument_spec={
            "run_id": {"type": "str", "required": True},
            "run_dir": {"type": "str", "required": True},
            "argv": {"type": "list", "elements": "raw", "required": True},
            "env": {"type": "dict", "required": True, "no_log": False},
            "cwd": {"type": "str", "required": True},
            "hostfile": {"type": "str", "required": True},
            "start_timeout": {"type": "float", "default": 60},
            "grace": {"type": "float", "default": 35},
        },
        supports_check_mode=True,
    )
    given = module.params
    if module.check_mode:
        module.exit_json(changed=True)
    spec = {key: given[key] for key in ("run_id", "argv", "env", "cwd", "start_timeout", "grace")}
    spec["argv"] = [_words.unpack(word) for word in given["argv"]]
    spec["env"] = {name: _words.unpack(value) for name, value in given["env"].items()}
    spec["unset"] = _argv.stale([name for name in os.environ if name not in given["env"]])
    try:
        deliver(given["run_dir"], spec, given["hostfile"])
        pid = start(given["run_dir"], given["start_timeout"])
    except FileExistsError:
        module.fail_json(msg="RUN_EXISTS: run directory %s exists already" % given["run_dir"])
    except OSError as error:
        module.fail_json(msg="NODE_NOT_READY: %s" % error)
    module.exit_json(changed=True, pid=pid)


if __name__ == "__main__":
    main()
