# SPDX-License-Identifier: Apache-2.0
"""What several programs must agree on is written once: kinds of events, names of files, orders, exit codes."""

import ast
import functools
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    catalog,
    codes,
    events,
    exit_codes,
    node_answers,
    run_directory,
    wire,
)
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import (
    mpi_agent,
    rank_reports,
    rank_wrapper,
)
from madctl import errors

ROOT = Path(__file__).parents[2]
COMMON = "plugins/module_utils/_common/"
TABLES = [events.SAID_BY_RANKS, events.TOLD_BY_NODES, events.TOLD_BY_FOLLOWER, events.TOLD_TO_CALLBACK]
KINDS = {kind for table in TABLES for kind in table}
NAMES = {name: value for name, value in vars(events).items() if isinstance(value, str) and value in KINDS}
# These import nothing of ours, so they start without delay.
ALONE = {name: f"plugins/module_utils/_supervise/{name}.py" for name in ("rank_wrapper", "mpi_agent")}


def fields_of(kind):
    return {*kind.required, *kind.optional}


def sources():
    """Parse our files by their paths."""
    paths = sorted(path for pattern in ("plugins/**/*.py", "madctl/**/*.py") for path in ROOT.glob(pattern))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


SOURCES = sources()


@functools.cache
def walk(tree):
    return list(ast.walk(tree))


def words(tree, wanted):
    """Find the literals of a file that are one of the words, but for keys and docstrings."""
    keys = {id(item.slice) for item in walk(tree) if isinstance(item, ast.Subscript)}
    keys |= {id(key) for item in walk(tree) if isinstance(item, ast.Dict) for key in item.keys if key}
    for call in walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ("get", "pop"):
            keys |= {id(word) for word in call.args[:1]}
    for item in walk(tree):
        if isinstance(item, ast.Constant) and id(item) not in keys and item.value in wanted:
            yield item.value


def kind_of(value):
    """Name the constant that an expression takes from ``events``; None where it takes none."""
    is_ours = isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "events"
    return NAMES.get(value.attr) if is_ours else None


def emitted(tree):
    """Yield the kind and the fields of each event that a file makes; None among these stands for more of them."""
    for item in walk(tree):
        if isinstance(item, ast.Dict):
            pairs = [
                (key.value if isinstance(key, ast.Constant) else None, v) for key, v in zip(item.keys, item.values)
            ]
        elif isinstance(item, ast.Call):
            pairs = [(keyword.arg, keyword.value) for keyword in item.keywords]
            is_more = isinstance(item.func, ast.Attribute) and item.func.attr == "update"
            pairs += [(None, None)] if item.args or is_more else []
        else:
            continue
        for key, value in pairs:
            if key == "event":
                literal = value.value if isinstance(value, ast.Constant) else None
                yield kind_of(value) or literal, {name for name, _ in pairs} - {"event"}


USED = {path: set(map(kind_of, walk(tree))) for path, tree in SOURCES.items()}
# An event without a kind here is passed on from elsewhere.
EMITTED = [(path, *event) for path, tree in SOURCES.items() for event in emitted(tree) if event[0]]

# These follow nodes, and run where a screen is; one of them also says what a node would that cannot.
FOLLOWING = tuple(f"plugins/module_utils/{room}/" for room in ("_conduct", "_follow", "_job", "_submit", "_kubernetes"))
FOR_NODES = ("plugins/module_utils/_conduct/links.py",)

# Words of every program; as kinds of events they are found by what they are compared with.
ORDINARY = {events.TEXT, events.NODES, events.END, events.EXIT}
# What these words mean in a file besides a kind of event.
STATES = {"armed", "stopping"}
MEANINGS = {
    "madctl/playbook/kubernetes_launch.py": {"planned"},  # how a dry run ended
    "madctl/verbs/status.py": {"stopping"},  # a state
    "madctl/verbs/stop.py": {"lost"},  # a state
    "madctl/screen/top_screen.py": {"armed", "lost"},  # states
    "plugins/module_utils/_common/usage.py": {"armed"},  # a state
    "plugins/module_utils/_runs/measuring.py": {"armed", "lost"},  # states
    "madctl/jobs/standing.py": {*STATES, "lost"},
    "madctl/lab/slurm.py": {"idle"},  # a state of Slurm's nodes
    "madctl/playbook/job_launch.py": {"planned"},  # how a dry run ended
    "madctl/playbook/report.py": {"planned"},  # how a dry run ended
    "plugins/module_utils/_kubernetes/standing.py": {"armed"},  # a state
    "plugins/module_utils/_follow/verdict.py": {"armed", "stopping", "apart"},  # states, a part of the record
    "plugins/module_utils/_supervise/container_calls.py": {"ready"},  # a request is whole
    "plugins/module_utils/_arm/arming.py": {"ready"},  # the supervisor's first word
    "plugins/module_utils/_common/node_answers.py": {"armed"},  # news of arming
    "plugins/module_utils/_conduct/conductor.py": {"restart"},  # a part of the plan
    "plugins/module_utils/_job/progress.py": {*STATES, "lost"},
    "plugins/module_utils/_runs/run_state.py": {*STATES, "lost"},
    "plugins/module_utils/_runs/survey.py": {"lost"},
    "plugins/module_utils/_supervise/supervisor.py": STATES,
    "plugins/module_utils/_supervise/supervisor_loop.py": {"armed"},
    "plugins/module_utils/_conduct/find_run.py": STATES,
    "plugins/module_utils/_show/plan_text.py": {"restart"},  # a part of the plan
    "plugins/module_utils/_show/sentences.py": {"idle", "restart", "lost"},  # what a line of the story begins with
}
CONTRACT = {COMMON + "events.py", COMMON + "run_directory.py", ALONE["rank_wrapper"]}


def compared(tree):
    """Find literal kinds that an event's kind is compared with."""
    for item in walk(tree):
        if isinstance(item, ast.Compare):
            left = item.left.slice if isinstance(item.left, ast.Subscript) else item.left
            name = left.id if isinstance(left, ast.Name) else getattr(left, "value", None)
            if name in ("event", "kind"):
                yield from (
                    each.value for each in ast.walk(item) if isinstance(each, ast.Constant) and each.value in KINDS
                )


def test_no_kind_is_written_anywhere_else():
    """Where a new file has to use such a word otherwise, it says so above."""
    found = {path: set(words(tree, KINDS - ORDINARY)) for path, tree in SOURCES.items() if path not in CONTRACT}
    made = {path for path, tree in SOURCES.items() for kind, _ in emitted(tree) if kind and not USED[path] & {kind}}

    assert {path: kinds for path, kinds in found.items() if kinds} == MEANINGS
    assert [kind for path in set(SOURCES) - CONTRACT for kind in compared(SOURCES[path])] == []
    assert made == {ALONE["rank_wrapper"]}


def test_every_kind_has_one_name_and_every_name_is_a_kind():
    listed = {name: value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}

    assert set(listed) - set(NAMES) == {"UNASKED"}
    assert len(set(NAMES.values())) == len(NAMES)


# For a person who reads events.jsonl alone; nothing follows from it.
UNREAD = {events.RELAY_REFUSED}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_emitted_and_read(kind):
    makes = {path for path, name, _ in EMITTED if name == kind}
    uses = {path for path, kinds in USED.items() if kind in kinds} - {COMMON + "events.py"}
    tables = {"plugins/module_utils/_supervise/rank_reports.py"} if kind in events.SAID_BY_RANKS else set()

    assert makes
    assert bool(uses - makes - tables) is (kind not in UNREAD) or kind == events.BARRIER


@pytest.mark.parametrize(("path", "kind", "fields"), EMITTED, ids=[f"{path}-{kind}" for path, kind, _ in EMITTED])
def test_what_is_emitted_has_the_fields_of_its_kind(path, kind, fields):
    is_rank = path.startswith("plugins/module_utils/_supervise/") and path.endswith("_wrapper.py")
    is_node = path in FOR_NODES or path.startswith("plugins/module_utils/") and not path.startswith(FOLLOWING)
    tables = [events.SAID_BY_RANKS] if is_rank else [events.TOLD_BY_NODES] if is_node else TABLES[2:]
    # Output is passed on as it came from a node.
    known = next(table[kind] for table in [*tables, events.TOLD_BY_NODES] if kind in table)
    # The wire counts bytes, a channel numbers what is kept; a record is kept whole.
    more = {"bytes", *(events.ONLY_RECORDED if kind == events.EXIT else ())}

    assert fields - {None} <= fields_of(known) | more
    assert None in fields or set(known.required) - {"seq"} <= fields


ROOMS = (
    "plugins/module_utils/_follow/",
    "plugins/module_utils/_show/",
    "plugins/plugin_utils/_screen/",
    "plugins/callback/",
)
READERS = [path for path in SOURCES if path.startswith((*ROOMS, "madctl/screen/", "madctl/playbook/session.py"))]


@pytest.mark.parametrize("path", READERS)
def test_what_is_read_of_an_event_is_a_field(path):
    known = {field for table in TABLES for kind in table.values() for field in fields_of(kind)} | {"event", "host"}
    # Under these names a frame's header is looked at; ``record`` is an event of the end.
    names = {"event", "header"}
    read = set()
    for item in walk(SOURCES[path]):
        if isinstance(item, ast.Subscript) and isinstance(item.value, ast.Name) and item.value.id in names:
            read |= {item.slice.value} if isinstance(item.slice, ast.Constant) else set()
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr == "get":
            of_event = isinstance(item.func.value, ast.Name) and item.func.value.id in names
            read |= {item.args[0].value} if of_event and isinstance(item.args[0], ast.Constant) else set()

    assert read <= known


def test_what_a_rank_says_is_told_whole():
    for kind, said in events.SAID_BY_RANKS.items():
        assert fields_of(said) <= fields_of(events.TOLD_BY_NODES[kind])


def test_a_record_has_the_fields_of_the_last_event():
    evidence = {*node_answers.EVIDENCE, *node_answers._how}

    assert evidence <= fields_of(events.TOLD_BY_NODES[events.EXIT])


# -- the run directory ------------------------------------------------------------------------------------------

FILES = {
    value for name, value in vars(run_directory).items() if name.isupper() and isinstance(value, str) and "." in value
}
VARIABLES = {run_directory.RUN_ID, run_directory.RUN_DIR, run_directory.HOST_FILE_PATH, run_directory.MARK}
LITERALS = {
    *FILES,
    *VARIABLES,
    *(word.encode() for word in {*FILES, *VARIABLES}),
    run_directory.RUNNER,
    run_directory.RUNNER.encode(),
    run_directory.HELD,
    *map(run_directory.base, (0, 1000)),
}


@pytest.mark.parametrize("path", sorted(set(SOURCES) - {COMMON + "run_directory.py", *ALONE.values()}))
def test_no_name_of_a_file_or_variable_is_written_anywhere_else(path):
    assert not set(words(SOURCES[path], LITERALS))
    # The usual place is shown in help texts, as madctl-UID.
    assert "/var/tmp/madctl-" not in (ROOT / path).read_text().replace("/var/tmp/madctl-UID", "")


@pytest.mark.parametrize(
    ("name", "own", "ours"),
    [
        ("rank_wrapper", rank_wrapper, {"RUN_DIR", "RANKS", "HELD"}),
        ("mpi_agent", mpi_agent, {"RUN_DIR", "RELAY_KEY", "RANKS", "RELAY_SOCKET"}),
    ],
    ids=ALONE,
)
def test_programs_that_import_nothing_of_ours_use_the_same_names(name, own, ours):
    assert own.__file__.endswith(ALONE[name])
    texts = {item.value for item in walk(SOURCES[ALONE[name]]) if isinstance(item, ast.Constant)}

    assert {getattr(run_directory, each) for each in ours} <= texts
    # Whatever looks like a file or a variable of ours is one.
    looks = {
        text for text in texts if isinstance(text, str) and re.fullmatch(r"[\w.]+\.(json|sock|key)|MADCTL_\w+", text)
    }
    assert looks <= LITERALS


def test_a_rank_reports_where_its_supervisor_listens():
    paths = {item.value for item in walk(SOURCES[ALONE["rank_wrapper"]]) if isinstance(item, ast.Constant)}

    assert f"/proc/self/fd/%d/{run_directory.RANKS_SOCKET}" in paths
    assert rank_reports.TAKEN in paths


def test_a_rank_knows_itself_by_the_variables_by_which_its_supervisor_knows_others():
    assert set(zip(rank_wrapper._NAMES["rank"], rank_wrapper._NAMES["world_size"])) == set(run_directory.IDENTITIES)


def test_the_page_lists_every_file():
    page = (ROOT / "docs/reference/run_directory.md").read_text()
    internal = {run_directory.GONE, run_directory.LAUNCHER, run_directory.RANK_WRAPPER, run_directory.MPI_AGENT}

    assert [name for name in sorted(FILES - internal) if name.replace("runner.err", ".err") not in page] == []


def test_every_program_is_delivered():
    from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles

    names = (run_directory.SUPERVISOR, run_directory.MADENGINE_WRAPPER, run_directory.CONTAINER_REMOVAL)
    expected = {run_directory.LAUNCHER, run_directory.RANK_WRAPPER, run_directory.MPI_AGENT}

    assert expected | {f"_supervise/{name}.py" for name in names} <= set(bundles.delivered())


@pytest.mark.parametrize(
    ("path", "usual"),
    [
        ("/var/tmp/madctl-0", True),
        ("/var/tmp/madctl-1000", True),
        ("/var/tmp/madctl-runs", False),
        ("/var/tmp/madctl-", False),
        ("/scratch/madctl-0", False),
    ],
)
def test_the_usual_place_is_known_by_its_whole_name(path, usual):
    assert run_directory.is_usual_base(path) is usual


# -- orders, the time of a stop, exit codes ---------------------------------------------------------------------


def test_orders_are_written_once():
    orders = {wire.GO, wire.STOP, wire.KILL, wire.DUMP, wire.END, wire.DETACH}
    found = {path: set(words(tree, orders)) for path, tree in SOURCES.items() if path != COMMON + "wire.py"}

    assert len(orders) == 6
    assert not {path: some for path, some in found.items() if some}


def test_a_stop_takes_as_long_whoever_asks_for_it():
    module = yaml.safe_load(ast.literal_eval(assigned("plugins/modules/run_stop.py", "DOCUMENTATION")))
    role = yaml.safe_load((ROOT / "roles/stop/meta/argument_specs.yml").read_text())["argument_specs"]["main"]

    assert module["options"]["grace"]["default"] == role["options"]["stop_grace"]["default"] == wire.STOP_SECONDS


def assigned(path, name):
    for item in walk(SOURCES[path]):
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name) and item.targets[0].id == name:
            return item.value
    raise AssertionError(name)


def test_exit_codes_are_one_list_and_the_page_has_them_all():
    page = (ROOT / "docs/reference/exit_codes.md").read_text()
    listed = {int(number) for row in re.findall(r"^\| ([\d, ]+) \|", page, re.M) for number in row.split(",")}

    assert errors.ExitCode is exit_codes.ExitCode
    assert listed == set(map(int, exit_codes.ExitCode))
    assert exit_codes.of_signal(2) is exit_codes.ExitCode.INTERRUPTED


def test_a_check_fails_with_one_of_two_exit_codes():
    for code in catalog.CHECK_OF:
        expected = exit_codes.ExitCode.UNREACHABLE if code in codes.UNREACHABLE else exit_codes.ExitCode.CHECK_FAILED
        assert codes.exit_code([{"code": code}]) is expected


def test_a_code_of_the_job_leads_to_the_exit_code_of_the_job():
    for code in codes.JOB_CODES:
        assert codes.exit_code([{"code": code}]) == exit_codes.ExitCode.JOB_FAILED
    assert set(codes.JOB_CODES) <= set(codes.WITH_LAST_LINES)
    for code in codes.LOST:
        assert codes.exit_code([{"code": code}]) == exit_codes.ExitCode.NODE_LOST
