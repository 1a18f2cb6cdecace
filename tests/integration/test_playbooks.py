# SPDX-License-Identifier: Apache-2.0
"""
The second door: an operator's own inventory, the tarball, and the oldest ansible-core; no madctl anywhere.

The inventory has groups, group_vars with a variable from the vault, a jump host, and becomes root for
its other plays.
"""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pyte
import pytest

from madctl.lab import state
from tests.integration import bare_ansible, playbook_results
from tests.integration.command import JOBS, madctl
from tests.integration.launchers import read_until

pytestmark = pytest.mark.lab
SECRET = "hunter2-hunter2"
JOB = {"madctl_python": sys.executable, "madctl_nproc_per_node": 2}
ECHO = {
    "madctl_shape": "command",
    "madctl_work": ["sh", "-c", 'echo "on $NODE_RANK with $API_TOKEN"; test -n "$API_TOKEN"'],
}


@pytest.fixture(scope="module")
def tree(tarball, tmp_path_factory):
    """The collection in a tree of its own, beside an operator's inventory."""
    place = tmp_path_factory.mktemp("tree")
    bare_ansible.install(bare_ansible.OLDEST, tarball, place)
    return place


@pytest.fixture(scope="module")
def site(tree, lab):
    """An operator's inventory: node2 comes first, and is reached through node1; node4 is in no group of GPUs."""
    place = tree / "site"
    (place / "group_vars").mkdir(parents=True)
    config = state.directory(lab.name) / "ssh_config"
    inventory = {
        "gpu": {"hosts": {"node2": {"ansible_ssh_common_args": f"-F {config} -J node1"}, "node1": {}}},
        "storage": {"hosts": {"node4": {}}},
    }
    (place / "hosts.yml").write_text(json.dumps(inventory))
    (tree / "password").write_text("open sesame")
    argv = [
        str(bare_ansible.environment(bare_ansible.OLDEST) / "ansible-vault"),
        "encrypt_string",
        "--vault-password-file",
        "password",
    ]
    vaulted = subprocess.check_output([*argv, SECRET, "--name", "vault_token"], cwd=tree, text=True)
    (place / "group_vars" / "all.yml").write_text(
        f"ansible_ssh_common_args: -F {config}\nansible_python_interpreter: /usr/bin/python3\n"
        f'ansible_become: true\nmadctl_env:\n  API_TOKEN: "{{{{ vault_token }}}}"\n{vaulted}\n'
    )
    return place / "hosts.yml"


@pytest.fixture
def options(site, tmp_path):
    """Return the command line of a playbook on the GPUs of the site."""

    def options(variables=None):
        (tmp_path / "variables.json").write_text(json.dumps({**JOB, **(variables or {})}))
        words = ["--limit", "gpu", "--vault-password-file", "password"]
        return ["-i", site, *words, "-e", f"@{tmp_path}/variables.json"]

    return options


@pytest.fixture
def play(tree, options):
    """Run a playbook to its end."""

    def run(playbook, *words, variables=None, **more):
        given = options(variables)
        return bare_ansible.play(bare_ansible.OLDEST, tree, f"madctl.multinode.{playbook}", *given, *words, **more)

    return run


@pytest.fixture
def begin(tree, options, play):
    """Start a launch that says each line when it comes; what is left of it is stopped."""
    started = []

    def begin(variables):
        env = {"ANSIBLE_STDOUT_CALLBACK": "madctl.multinode.live"}
        started.append(
            bare_ansible.start(bare_ansible.OLDEST, tree, "madctl.multinode.launch", *options(variables), env=env)
        )
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            play("stop")
            process.kill()
        process.wait()


def runs(on):
    """List the runs that the nodes hold."""
    return [
        on(host, "sh", "-c", "ls -d /var/tmp/madctl-0/2* 2>/dev/null || true").split() for host in ("node1", "node2")
    ]


LATER = {
    "run_launch": {"checks", "failures", "plan", "planned"},
    "run_status": {"exit_code", "failures"},
    "run_stop": {"exit_code", "failures"},
    "run_logs": {"failures"},
    "run_collect": {"exit_code"},
    "run_ps": {"failures"},
}


def test_the_life_of_a_run_without_its_id(play, tmp_path, on):
    launched = play("launch", "-vvv", variables={"madctl_work": [str(JOBS / "wait.py")], "madctl_detach": True})
    assert launched.code == 0, launched.all
    directory = f"/var/tmp/madctl-0/{launched.run_id}"
    for host in ("node1", "node2"):
        both = f"until [ $(cat {directory}/logs/rank-*.out | grep -c waiting) = 2 ]; do sleep 0.05; done"
        on(host, "sh", "-c", both)
    status = play("status")
    would = play("stop", "--check")
    stopped = play("stop", "--diff")
    again = play("stop")
    would_not = play("stop", "--check")
    logs = play("logs", variables={"madctl_follow": True})
    last = play("logs", variables={"madctl_show_ranks": "1,2", "madctl_lines": 1})
    collected = play("collect", variables={"madctl_dest": str(tmp_path / "run")})
    (tmp_path / "run/node1/run.json").write_text('{"run_id": "another"}')
    kept = play("collect", variables={"madctl_dest": str(tmp_path / "run")})
    listed = play("ps")

    assert SECRET not in launched.all
    assert launched.run_id == status.run_id == logs.run_id
    # node2 is first in the inventory, so it is the first node.
    rows = [line.split() for line in status.out.splitlines() if line.startswith("node")]
    assert [(row[0], row[1], row[3]) for row in rows[:2]] == [("node2", "running", "2"), ("node1", "running", "2")]
    assert f"stop    run {launched.run_id}: nothing is left on node[1-2]" in stopped.out
    assert f"-node1: run {launched.run_id}" in stopped.out
    assert f"stop    run {launched.run_id}: would be stopped on node[1-2]" in would.out
    assert f"stop    run {launched.run_id}: there is nothing to stop" in would_not.out
    assert (again.code, "changed: [" in again.out) == (0, False)
    assert {f"node2:{rank} | waiting {rank}" for rank in (0, 1)} <= set(logs.out.splitlines())
    assert re.search("done    stopped after .* on 2 nodes, 4 of 4 ranks joined", logs.out)
    assert re.search(r"^running for .* s, 4 of 4 ranks joined$", status.out, re.M)
    assert logs.code == 0
    shown = [line for line in last.out.splitlines() if " | " in line]
    assert sorted(shown) == ["node1:2 | waiting 2", "node2:1 | waiting 1"]
    assert f"collect run {launched.run_id}" in collected.out
    assert (tmp_path / "run/node1/logs/rank-2.out").read_text() == "waiting 2\n"
    assert kept.code == 2
    refusal = (
        f"madctl: node1: {tmp_path}/run/node1 exists and is not from this run; name another directory [DEST_IN_USE]"
    )
    assert refusal in kept.out
    assert json.loads((tmp_path / "run/node1/run.json").read_text()) == {"run_id": "another"}
    plays = (launched, status, would, stopped, again, would_not, logs, last, collected, kept, listed)
    # These come after a failure, or without a start: the tests below see them.
    assert {module: playbook_results.never(module, *plays) for module in LATER} == LATER
    assert re.search(
        rf"^{launched.run_id}  -  +stopped  .* (?:s|min)  +\S+ \S+  +node\[1-2\]  .*wait.py$", listed.out, re.M
    )


def test_a_run_that_no_node_knows(play):
    for playbook in ("status", "logs", "stop", "collect"):
        done = play(playbook, "-e", "madctl_run_id=20200101-000000-abcdef01")

        assert done.code == 2, playbook
        assert done.codes() == [("node1", "RUN_UNKNOWN"), ("node2", "RUN_UNKNOWN")], playbook
        assert not LATER[f"run_{playbook}"] & playbook_results.never(f"run_{playbook}", done)
    nothing = play("status", "-e", "madctl_run_dir=/nowhere")

    assert nothing.codes() == [("node1", "RUN_UNKNOWN"), ("node2", "RUN_UNKNOWN")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["launch", "--tags", "chekc"], "madctl: no task has the tag chekc; did you mean check? [TAG_UNKNOWN]"),
        (
            ["launch", "--tags", "slurm"],
            "madctl: tasks with the tag slurm run only with madctl_on=slurm; leave the tag out [TAG_UNKNOWN]",
        ),
        (["stop", "--skip-tags", "stpo"], "madctl: no task has the tag stpo; did you mean stop? [TAG_UNKNOWN]"),
        (
            ["check", "-e", "madctl_nprocpernode=4"],
            "there is no variable madctl_nprocpernode; did you mean madctl_nproc_per_node?",
        ),
        (
            ["gc", "-e", "madctl_day=1"],
            "madctl: there is no variable madctl_day; did you mean madctl_days? [VARIABLE_UNKNOWN]",
        ),
    ],
)
def test_what_is_misspelled_is_refused(play, on, words, told):
    before = runs(on)
    done = play(*words, variables=ECHO)

    assert done.code == 2
    assert told in done.all
    assert runs(on) == before


def test_a_misspelled_variable_of_one_host_is_refused(play, site):
    place = site.parent / "host_vars"
    place.mkdir()
    (place / "node1.yml").write_text("madctl_slot: 4\n")
    done = play("status")
    (place / "node1.yml").unlink()

    assert "madctl: there is no variable madctl_slot; did you mean madctl_slots? [VARIABLE_UNKNOWN]" in done.all


ALL_HOSTS = "madctl: this role needs all hosts of the play at once; "


@pytest.mark.parametrize(
    ("setting", "role", "told"),
    [
        ("serial: 1", "rendezvous", ALL_HOSTS + "remove serial"),
        ("serial: 1", "network_interface", ALL_HOSTS + "remove serial"),
        ("strategy: free", "status", "bypasses the host loop"),
        ("strategy: host_pinned", "network_interface", ALL_HOSTS + "set strategy: linear"),
    ],
)
def test_a_play_that_parts_its_hosts_is_refused(tree, options, setting, role, told):
    path = tree / "parted.yml"
    path.write_text(f"- hosts: all\n  gather_facts: false\n  {setting}\n  roles: [madctl.multinode.{role}]\n")
    done = bare_ansible.play(bare_ansible.OLDEST, tree, path, *options())

    assert done.code != 0
    assert told in done.all
    assert "PROBE_FAILED" not in done.all


@pytest.mark.parametrize("setting", ["serial: 1", "strategy: free"])
def test_roles_that_look_at_one_node_run_in_any_play(tree, options, setting):
    path = tree / "parted.yml"
    path.write_text(f"- hosts: all\n  gather_facts: false\n  {setting}\n  roles: [madctl.multinode.net_tools]\n")
    done = bare_ansible.play(bare_ansible.OLDEST, tree, path, *options())

    assert done.code == 0, done.all
    assert sorted(result["node"]["hostname"] for _, result in done.results) == ["node1", "node2"]
    assert "PLAY_PARTED" not in done.all


def test_a_playbook_that_imports_ours_may_have_tags_of_its_own(tree, options):
    path = tree / "site.yml"
    own = "- hosts: all\n  gather_facts: false\n  tasks:\n    - {ansible.builtin.debug: {msg: own}, tags: own}\n"
    path.write_text("- import_playbook: madctl.multinode.stop\n" + own)
    done = bare_ansible.play(bare_ansible.OLDEST, tree, path, *options(), "--tags", "own")

    assert (done.code, '"msg": "own"' in done.out, "stop    run" in done.out) == (0, True, False), done.all


SITE = """
- import_playbook: madctl.multinode.check
  vars: {madctl_work: [echo, none]}
- import_playbook: madctl.multinode.launch
  vars: {madctl_work: [echo, first]}
- import_playbook: madctl.multinode.launch
  vars: {madctl_work: [echo, second]}
"""


def test_a_playbook_that_checks_and_launches_twice_plans_each_time(tree, options):
    (tree / "site.yml").write_text(SITE)
    done = bare_ansible.play(bare_ansible.OLDEST, tree, tree / "site.yml", *options({"madctl_shape": "command"}))

    assert done.code == 0, done.all
    assert {f"node{number} | {word}" for number in (1, 2) for word in ("first", "second")} <= set(done.out.splitlines())
    assert len(set(re.findall(r"^run     (\S+)$", done.out, re.M))) == 2


def test_nodes_that_fail_alike_are_told_once_in_the_words_of_playbooks(play):
    base = {"madctl_shape": "command", "madctl_detach": True}
    running = play("launch", variables={**base, "madctl_work": ["sleep", "300"]})
    refused = play("launch", variables={**base, "madctl_work": ["true"]})
    play("stop")
    told = [line for line in refused.out.splitlines() if f"already used by run {running.run_id}" in line]

    assert len(told) == 1, refused.all
    assert told[0].startswith("madctl: node[1-2]: ")
    assert told[0].endswith("madctl_skip: [machine] [NODE_BUSY]")
    assert refused.failed() == {"node1": "NODE_BUSY: see above", "node2": "NODE_BUSY: see above"}


def test_stop_means_the_run_that_goes_on_and_not_a_later_one(play):
    base = {"madctl_shape": "command", "madctl_detach": True}
    older = play("launch", "--limit", "node1", variables={**base, "madctl_work": ["sleep", "300"]})
    later = play("launch", "--limit", "node2", variables={**base, "madctl_work": ["true"], "madctl_detach": False})
    stopped = play("stop")

    assert (older.code, later.code, stopped.code) == (0, 0, 0), stopped.all
    assert f"stop    run {older.run_id}: nothing is left on node[1-2]" in stopped.out
    assert "running" not in play("ps").out


RESTARTED = "case $MADCTL_RUN_ID in *.1) echo waiting; sleep 300 & wait;; *) exit 3;; esac"


def test_a_run_that_was_started_anew_is_stopped_by_its_first_id(play, begin):
    work = {"madctl_shape": "command", "madctl_work": ["sh", "-c", RESTARTED], "madctl_max_restarts": 1}
    process = begin(work)
    story = read_until(process, "waiting")
    run_id = re.search(r"^run     (\S+)$", story, re.M)[1]
    stopped = play("stop", "-e", f"madctl_run_id={run_id}")
    rest, _ = process.communicate(timeout=180)

    assert stopped.code == 0, stopped.all
    assert f"stop    run {run_id}.1: nothing is left on node[1-2]" in stopped.out
    assert process.returncode == 2
    assert "[RUN_STOPPED]" in rest


@pytest.mark.long
def test_a_link_that_is_cut_makes_a_node_lost(play, begin, on):
    process = begin({"madctl_shape": "command", "madctl_work": ["sh", "-c", "echo waiting; sleep 300"]})
    read_until(process, "node1 | waiting")
    # node2 is reached through node1, whose own link stays.
    on("node2", "sh", "-c", "for name in eno1 ens14np0; do ip link set $name down; done")
    try:
        rest, _ = process.communicate(timeout=110)
    finally:
        on("node2", "sh", "-c", "for name in eno1 ens14np0; do ip link set $name up; done")

    # It could not be told; now that it is back, it can.
    assert play("stop").code == 0
    assert process.returncode == 2, rest
    assert re.search(r"^madctl: node2: .*; .* \[NODE_LOST\]$", rest, re.M), rest


@pytest.fixture
def checkout(on):
    """The directory of models, on each node."""
    for host in ("node1", "node2"):
        on(host, "sh", "-c", "mkdir /root/checkout && echo [] > /root/checkout/models.json")
    yield "/root/checkout"
    for host in ("node1", "node2"):
        on(host, "rm", "-r", "/root/checkout")


def test_a_token_of_a_context_is_no_difference(play, checkout):
    context = "{'docker_env_vars': {'HF_TOKEN': '%s', 'PLAIN': 'plain-value'}}" % SECRET
    models = {"madctl_tags": ["some"], "madctl_additional_context": context}
    models.update(madctl_skip=["madengine"], madctl_chdir=checkout)
    done = play("launch", "--check", "--diff", "-vv", variables=models)

    assert done.code == 0, done.all
    # In the plan, once for all nodes, and in the difference of each.
    assert done.out.count("plain-value") == 3
    assert SECRET not in done.all


RUNNER = """
import json, sys, ansible_runner
private, inventory, job = sys.argv[1:]
done = ansible_runner.run(
    private_data_dir=private, inventory=inventory, playbook="madctl.multinode.launch", limit="node1,node2", quiet=True,
    envvars={"ANSIBLE_STDOUT_CALLBACK": "madctl.multinode.live"}, extravars=json.loads(job),
)
print(done.stdout.read())
sys.exit(done.rc)
"""


def test_the_callback_inside_ansible_runner(lab, tmp_path):
    work = {"madctl_shape": "command", "madctl_work": ["sh", "-c", "seq 200"]}
    argv = [sys.executable, "-c", RUNNER, str(tmp_path), str(bare_ansible.inventory(lab)), json.dumps(work)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, env={**os.environ, "PATH": path})

    assert done.returncode == 0, done.stdout + done.stderr
    assert "done    succeeded after " in done.stdout
    assert "node2 | 200" in done.stdout
    # There it is the default callback, and draws nothing between what the runner writes.
    assert ("TASK [" in done.stdout, "\x1b[J" in done.stdout) == (True, False)


def test_a_failure_is_a_line_and_no_dump(play):
    done = play("launch", variables={"madctl_work": [str(JOBS / "fail.py"), "3"]})
    shown = f"see ansible-playbook madctl.multinode.logs -e madctl_run_id={done.run_id} -e madctl_show_ranks=3"

    assert done.code == 2
    assert "node1:3 | giving up" in done.out
    assert f"madctl: node1: rank 3 failed: exit code 7; {shown} [RANK_FAILED]" in done.out.splitlines()
    assert re.search(r"^done    failed after \S+ s on 2 nodes, \d of 4 ranks joined$", done.out, re.M)
    # node2 is the first host of the play, and not to blame.
    assert done.failed() == {"node1": "RANK_FAILED: see above"}
    assert re.search(r"^node1 .* failed=1 ", done.out, re.M) and re.search(r"^node2 .* failed=0 ", done.out, re.M)


NEXT = """
- import_playbook: madctl.multinode.launch
- hosts: all
  gather_facts: false
  tasks: [{ansible.builtin.debug: {msg: went on}}]
"""


def test_a_failure_on_one_node_ends_the_playbook_for_all(tree, options):
    (tree / "next.yml").write_text(NEXT)
    work = {"madctl_shape": "command", "madctl_work": ["sh", "-c", "exit $NODE_RANK"]}
    done = bare_ansible.play(bare_ansible.OLDEST, tree, "next.yml", *options(work))

    assert (done.code, done.failed()) == (2, {"node1": "COMMAND_FAILED: see above"}), done.all
    assert "went on" not in done.out


def test_what_goes_well_has_one_task_and_says_nothing_twice(play):
    launched = play("launch", variables={"madctl_shape": "command", "madctl_work": ["true"]})
    done = [launched, *map(play, ("status", "logs", "ps", "stop", "gc"))]

    for played in done:
        assert played.code == 0, played.all
        banners = re.findall(r"^(?:PLAY|TASK) \[(.*)\] \*", played.out, re.M)
        assert banners[2:] == ["End here if nothing failed"], played.all
        assert "skipping" not in played.out, played.all


def test_a_secret_of_the_vault_reaches_the_job_and_no_screen(play):
    done = play("launch", "-vvv", "--diff", variables=ECHO)

    assert done.code == 0, done.all
    assert {"node2 | on 0 with ***", "node1 | on 1 with ***"} <= set(done.out.splitlines())
    assert SECRET not in done.all


PLAN = """
- ansible.builtin.import_playbook: madctl.multinode.launch
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{ launch_result.plan | to_json }}"
        dest: plan.json
      delegate_to: localhost
      become: false
      run_once: true
      check_mode: false
"""


def dry_run(lab, *words):
    options = ["--lab", lab.name, "--hosts", "node2,node1", "--python", sys.executable, "--output", "json", "--dry-run"]
    return madctl("launch", *options, *words)


def test_both_doors_make_the_same_plan_and_check_mode_starts_nothing(play, tree, site, lab, on):
    options = ["--nproc-per-node", "2", "--master-port", "29777", "--env", "API_TOKEN=x", "--chdir", "/tmp"]
    theirs = dry_run(lab, *options, "--", str(JOBS / "report.py"), "--lr", "1e-4", "ü {{ x }}").json
    before = runs(on)
    (tree / "plan.yml").write_text(PLAN)
    variables = {
        "madctl_run_id": theirs["run_id"],
        "madctl_chdir": "/tmp",
        "madctl_master_port": 29777,
        "madctl_work": [str(JOBS / "report.py"), "--lr", "1e-4", {"__ansible_unsafe": "ü {{ x }}"}],
    }
    (tree / "plan_variables.json").write_text(json.dumps({**JOB, **variables}))
    words = ["-i", site, "--limit", "gpu", "--vault-password-file", "password", "-e", "@plan_variables.json"]
    done = bare_ansible.play(bare_ansible.OLDEST, tree, "plan.yml", *words, "--check", "--diff")
    assert done.code == 0, done.all
    ours = json.loads((tree / "plan.json").read_text())

    for node in ours["nodes"]:
        node["env"] = {"API_TOKEN": "x", **node["env"]}
    keys = ("host", "node_rank", "address", "interface", "nproc_per_node", "argv", "env", "cwd")
    assert [{key: node[key] for key in keys} for node in ours["nodes"]] == [
        {key: node[key] for key in keys} for node in theirs["data"]["nodes"]
    ]
    assert {key: ours[key] for key in ("master_addr", "master_port", "world_size", "runner")} == {
        key: theirs["data"][key] for key in ("master_addr", "master_port", "world_size", "runner")
    }
    assert "  cd /tmp" in done.out.splitlines()
    assert "  API_TOKEN='***'" in done.out
    assert "+++ after: run " in done.out
    assert not {"plan", "planned"} & playbook_results.never("run_launch", done)
    assert runs(on) == before


WRONG = {
    "interface": (["--interface", "eth9"], {"madctl_interface": "eth9"}),
    "script": (["--chdir", "/nowhere"], {"madctl_chdir": "/nowhere"}),
    "storage": (["--shared-path", "/nowhere"], {"madctl_shared_paths": ["/nowhere"]}),
}


def test_both_doors_refuse_with_the_same_codes(play, lab):
    words = [word for options, _ in WRONG.values() for word in options]
    theirs = dry_run(lab, *words, "--", "missing.py").json
    variables = {name: value for _, given in WRONG.values() for name, value in given.items()}
    done = play("launch", "--check", variables={**variables, "madctl_work": ["missing.py"]})

    assert done.code == 2
    assert done.codes() == sorted((error["host"], error["code"]) for error in theirs["errors"])
    assert len(done.codes()) >= 4
    assert not {"checks", "failures"} & playbook_results.never("run_launch", done)


USAGE = {
    "madctl_nproc_per_node=0": "USAGE",
    "madctl_nproc_per_node=²": "USAGE",
    "madctl_master_port=70000": "USAGE",
    "madctl_skip=nothing": "USAGE",
    "madctl_runner=slurm": "USAGE",
}


def test_what_no_node_is_needed_for_is_refused(play):
    for given, code in USAGE.items():
        done = play("check", "-e", given)

        assert done.code == 2, given
        assert f"[{code}]" in done.all, given
    assert "[WORK_MISSING]" in play("launch").all


@pytest.fixture
def without_ifconfig(on):
    on("node1", "mv", "/usr/sbin/ifconfig", "/usr/sbin/hidden-ifconfig")
    yield
    on("node1", "mv", "/usr/sbin/hidden-ifconfig", "/usr/sbin/ifconfig")


def test_check_mode_and_the_tag_check_install_nothing(play, on, without_ifconfig):
    for words in (
        ["launch", "--check"],
        ["launch", "--tags", "check"],
        ["launch", "--skip-tags", "net_tools"],
        ["check", "--tags", "rendezvous"],
    ):
        done = play(*words, variables=ECHO)

        assert done.code == 2, words
        assert done.codes() == [("node1", "NET_TOOLS_MISSING")], words
    assert playbook_results.never("rendezvous", done) == set()
    assert on("node1", "sh", "-c", "command -v ifconfig || echo none").strip() == "none"


def test_the_tag_check_starts_nothing(play, on):
    before = runs(on)
    done = play("launch", "--tags", "check", variables=ECHO)

    assert done.code == 0, done.all
    assert "plan    2 × 2 = 4 ranks on ens14np0" in done.out
    assert runs(on) == before


def test_a_host_list_as_inventory_with_the_callback(tree, lab):
    place = tree / "listed"
    (place / "group_vars").mkdir(parents=True)
    config = state.directory(lab.name) / "ssh_config"
    (place / "group_vars" / "all.yml").write_text(f"ansible_ssh_common_args: -F {config}\n")
    (place / "lab.hostlist.yml").write_text(
        "plugin: madctl.multinode.hostlist\nhosts: node[2,1]\nuser: root\nhostfiles: [more]\nslots: 3\n"
    )
    (place / "more").write_text("node3 slots=3\n")
    words = ["-i", place / "lab.hostlist.yml", "-e", json.dumps({"madctl_shape": "command"})]
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"
    words += ["-e", json.dumps({"madctl_work": ["sh", "-c", script]})]
    done = bare_ansible.play(
        bare_ansible.OLDEST,
        tree,
        "madctl.multinode.launch",
        *words,
        env={"ANSIBLE_STDOUT_CALLBACK": "madctl.multinode.live"},
    )
    lines = done.out.splitlines()
    story = [line for line in lines if " | " not in line]

    assert done.code == 0, done.all
    stages = [line.split()[0] for line in story if not line.startswith("notice")]
    assert stages == ["probe", "plan", "run", "arm", "go", "done"]
    assert any("3 × 3 = 9 ranks on ens14np0, ib0" in line for line in story)
    assert max(number for number, line in enumerate(lines) if " | " in line) < lines.index(story[-1])
    for host in ("node1", "node2", "node3"):
        assert [line for line in lines if line.startswith(host)] == [
            f"{host} | line {number}" for number in range(2000)
        ]
    assert "\x1b" not in done.out


NOISY = """
import threading

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_NAME = "noisy"
    CALLBACK_TYPE = "notification"

    def v2_runner_on_start(self, host, task):
        if task.action.endswith(".run_launch"):
            self.over = threading.Event()
            self.speaker = threading.Thread(target=self.speak)
            self.speaker.start()

    def v2_runner_on_ok(self, result):
        if result._task.action.endswith(".run_launch"):
            self.over.set()
            self.speaker.join()

    def speak(self):
        number = 0
        while number < 100 and not self.over.wait(0.1):
            self._display.warning("somebody says word %d" % number)
            number += 1
"""


def on_terminal(tree, core, words, env):
    """Play the launch on a terminal; give its end, all that it wrote, and what is then to be seen."""
    argv = [str(bare_ansible.environment(core) / "ansible-playbook"), "madctl.multinode.launch", *map(str, words)]
    screen, theirs = pty.openpty()
    environment = {
        **bare_ansible.variables(tree),
        "ANSIBLE_STDOUT_CALLBACK": "madctl.multinode.live",
        "TERM": "xterm",
        **env,
    }
    process = subprocess.Popen(argv, cwd=tree, env=environment, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    written = b""
    try:
        while data := os.read(screen, 65536):
            written += data
    except OSError:
        pass  # A terminal without a writer.
    os.close(screen)
    text = written.decode()
    seen = pyte.Screen(columns=120, lines=200)
    pyte.Stream(seen).feed(text)
    return process.wait(), text, [line.rstrip() for line in seen.display if line.strip()]


def test_the_callback_draws_on_a_terminal(tree, options):
    code, text, seen = on_terminal(tree, bare_ansible.OLDEST, options(ECHO), {})

    assert code == 0, text
    tables = re.findall(r"node   probe.*?(?=\x1b|\Z)", text, re.S)
    for host in ("node1", "node2"):
        assert re.search(rf"{host} +✓ +✓", tables[-1]), tables[-1]
    # The job may speak on one node before the other is known to have started; no table is drawn after that.
    assert re.search(r"node\d +✓ +✓ +✓", tables[-1]), tables[-1]
    # What stays is the story and the lines; every table was taken away.
    assert text.count("\x1b[J") == len(tables)
    assert "node1 | on 1 with ***" in seen
    assert not [line for line in seen if "TASK" in line or line.startswith("node   probe")]


@pytest.mark.parametrize("core", bare_ansible.PYTHONS)
def test_a_warning_of_ansible_stays_beside_the_table(core, tarball, tmp_path, lab):
    bare_ansible.need(core)
    bare_ansible.install(core, tarball, tmp_path)
    (tmp_path / "noisy.py").write_text(NOISY)
    work = {"madctl_shape": "command", "madctl_work": ["echo", "done that"]}
    words = ["-i", bare_ansible.inventory(lab), "--limit", "node1,node2", "-e", json.dumps(work)]
    env = {"ANSIBLE_CALLBACK_PLUGINS": str(tmp_path), "ANSIBLE_CALLBACKS_ENABLED": "noisy"}
    code, text, seen = on_terminal(tmp_path, core, words, env)

    assert code == 0, text
    said = set(re.findall(r"somebody says word \d+", text))
    assert said == {word for line in seen for word in re.findall(r"somebody says word \d+", line)}, seen
    # One at least found the table drawn, and took it away.
    assert re.search(r"\x1b\[J[^\x1b]*somebody says", text), text
    assert not [line for line in seen if line.startswith("node   probe") or "✓" in line or "·" in line], seen
    assert [line.split()[0] for line in seen if not line.startswith(("node", "[", " ["))][-1] == "done"
