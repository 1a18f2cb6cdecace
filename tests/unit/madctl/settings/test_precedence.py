# SPDX-License-Identifier: Apache-2.0
"""Which setting wins, and which of them a command takes."""

import itertools
import os

import pytest

# The strongest first: how each of them says that a job has N processes per node.
SOURCES = {
    "typed": None,
    "environment": "MADCTL_NPROC_PER_NODE={}",
    "project profile": "[profile.p]\nnproc-per-node = {}\n",
    "user profile": "[profile.p]\nnproc-per-node = {}\n",
    "project command": "[launch]\nnproc-per-node = {}\n",
    "project": "nproc-per-node = {}\n",
    "user command": "[launch]\nnproc-per-node = {}\n",
    "user": "nproc-per-node = {}\n",
}


def write(place, sources):
    """Set the option to another number by each of these sources, and return the words to type and the numbers."""
    words, texts, numbers = ["launch"], {}, {}
    for number, source in enumerate(sources, 1):
        numbers[source] = str(number)
        if source == "typed":
            words += ["--nproc-per-node", str(number)]
            continue
        if source.endswith("profile"):
            words += ["--profile", "p"] if "--profile" not in words else []
        where = source.partition(" ")[0]
        text = SOURCES[source].format(number)
        # A table ends what is at the top of a file.
        texts[where] = texts.get(where, "") + text if text.startswith("[") else text + texts.get(where, "")
    for where, text in texts.items():
        place.set(where, text)
    return [*words, "x.py"], numbers


@pytest.mark.parametrize(("strong", "weak"), list(itertools.combinations(SOURCES, 2)))
def test_of_two_sources_the_stronger_one_wins(place, strong, weak):
    words, numbers = write(place, [weak, strong])

    assert place.parsed(*words).nproc_per_node == numbers[strong]


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_alone_is_enough(place, source):
    words, numbers = write(place, [source])

    assert place.parsed(*words).nproc_per_node == numbers[source]


def test_without_settings_everything_is_as_typed(place):
    assert place.parsed("launch", "x.py").nproc_per_node == "auto"
    assert not hasattr(place.parsed("launch", "x.py"), "settings")


def test_an_option_that_is_typed_with_its_default_is_typed(place):
    place.project.write_text('nproc-per-node = 8\noutput = "json"\n')

    options = place.parsed("launch", "--nproc-per-node=auto", "--output", "text", "x.py")

    assert (options.nproc_per_node, options.output) == ("auto", "text")


@pytest.mark.parametrize(("strong", "weak"), list(itertools.combinations(["environment", "project", "user"], 2)))
def test_a_switch_can_be_turned_off_again(place, strong, weak):
    on = {"environment": "MADCTL_NO_INSTALL=1", "project": "no-install = true", "user": "no-install = true"}
    off = {"environment": "MADCTL_NO_INSTALL=false", "project": "no-install = false"}
    place.set(weak, on[weak])
    assert place.parsed("launch", "x.py").no_install
    place.set(strong, off[strong])
    assert not place.parsed("launch", "x.py").no_install
    assert place.parsed("launch", "--no-install", "x.py").no_install


def test_a_list_is_replaced(place):
    place.user.write_text('skip = ["clock", "limits"]')
    assert place.parsed("launch", "x.py").skip == ["clock", "limits"]
    place.project.write_text('skip = "versions"')
    assert place.parsed("launch", "x.py").skip == ["versions"]
    place.set("environment", "MADCTL_SKIP=names gpus")
    assert place.parsed("launch", "x.py").skip == ["names", "gpus"]
    assert place.parsed("launch", "--skip", "storage", "x.py").skip == ["storage"]


def test_a_list_can_be_emptied(place):
    place.user.write_text('skip = ["clock"]')
    place.project.write_text("skip = []")

    assert place.parsed("launch", "x.py").skip == []


def test_what_a_weaker_file_sets_can_be_unset(place):
    place.user.write_text('python = "/a"\nskip = ["clock"]\nport = 1\ninventory = "a,"')
    place.project.write_text("python = false\nskip = false\n[profile.p]\nport = false\nhosts = false")

    options = place.parsed("launch", "--profile", "p", "x.py")

    assert (options.python, options.skip, options.port, options.inventory) == (None, [], None, None)
    assert place.parsed("launch", "--python", "/b", "x.py").python == "/b"


def test_variables_of_the_job_are_merged_by_name(place):
    place.user.write_text('env = { A = "user", B = "user", C = "user", D = "user" }')
    place.project.write_text('[launch.env]\nB = "project"\nC = "project"\nD = 4')
    place.set("environment", "MADCTL_ENV='C=of two words' D=variable")

    lines = place.parsed("launch", "--env", "D=typed", "x.py").env

    assert dict(line.split("=") for line in lines) == {"A": "user", "B": "project", "C": "of two words", "D": "typed"}


NODES = {
    "hosts": 'hosts = "a"',
    "hostfile": 'hostfile = "a"',
    "inventory": 'inventory = "a,"',
    "lab": 'lab = "a"',
}


@pytest.mark.parametrize(("stronger", "weaker"), list(itertools.permutations(NODES, 2)))
def test_nodes_are_chosen_by_one_source(place, stronger, weaker):
    place.user.write_text(NODES[weaker])
    assert getattr(place.parsed("launch", "x.py"), weaker) is not None
    typed = place.parsed("launch", f"--{stronger}=b", "x.py")
    place.set("environment", f"MADCTL_{stronger.upper()}=b")
    # Jobs have a variable of that name, so it is no setting.
    set_ = typed if stronger == "hostfile" else place.parsed("launch", "x.py")

    for options in (typed, set_):
        assert getattr(options, stronger) in ("b", ["b"])
        assert getattr(options, weaker) is None


def test_a_limit_chooses_among_the_hosts_of_an_inventory_that_is_set_elsewhere(place):
    place.user.write_text('inventory = "a,b,"\nlimit = "a"')

    assert (place.parsed("launch", "x.py").limit, place.parsed("launch", "x.py").inventory) == ("a", ["a,b,"])
    options = place.parsed("launch", "--limit", "b", "x.py")
    assert (options.limit, options.inventory) == ("b", ["a,b,"])
    options = place.parsed("launch", "-i", "c,", "x.py")
    assert (options.limit, options.inventory) == (None, ["c,"])


@pytest.mark.parametrize("words", [["ps"], ["gc"], ["ps", "--profile", "p"]], ids=" ".join)
def test_nodes_for_all_commands_are_not_for_those_that_would_do_something_else(place, words):
    place.project.write_text('hosts = "a"\n[profile.p]\nhosts = "a"')
    assert place.parsed(*words).hosts is None
    place.project.write_text(f'[{words[0]}]\nhosts = "a"\n[profile.p]\n')
    assert place.parsed(*words).hosts == "a"


def test_the_name_of_runs_is_not_the_name_of_labs(place):
    place.project.write_text('name = "baseline"')
    assert place.parsed("launch", "x.py").name == "baseline"
    assert place.parsed("lab", "up").name == "lab"
    place.project.write_text('[lab]\nname = "one"\n[lab.down]\nname = "two"')
    assert [place.parsed("lab", verb).name for verb in ("up", "down")] == ["one", "two"]


def test_a_value_for_all_commands_is_for_those_that_take_it(place):
    place.project.write_text('output = "json"')
    assert place.parsed("status").output == "json"
    assert place.parsed("logs").output == "text", "which takes text or jsonl"
    place.set("environment", "MADCTL_OUTPUT=jsonl")
    assert (place.parsed("status").output, place.parsed("logs").output) == ("json", "jsonl")


UNFIT = [
    ('partition = "a"', ["--hosts", "b"], "partition"),
    ('image = "a"', ["--on", "slurm", "--nodes", "2"], "image"),
    ('hosts = "a"', ["--on", "slurm", "--nodes", "2"], "hosts"),
    ('inventory = "a,"', ["--on", "slurm", "--nodes", "2"], "inventory"),
    ('hosts = "a"', ["--on", "k8s"], "hosts"),
    ('user = "a"', ["--on", "k8s"], "user"),
    ("exclusive = true", [], "exclusive"),
    ('mpirun = "/a"', ["--hosts", "b"], "mpirun"),
    ('additional-context = "{}"', ["--hosts", "b"], "additional_context"),
]


@pytest.mark.parametrize(("text", "words", "name"), UNFIT, ids=[text for text, _, _ in UNFIT])
def test_what_means_nothing_here_is_left_out(place, text, words, name):
    place.user.write_text(text)

    options = place.parsed("launch", *words, "x.py")

    assert not getattr(options, name)
    assert options.settings == {}


def test_what_means_something_elsewhere_counts_there(place):
    place.user.write_text('on = "slurm"\npartition = "a"\nrunner = "mpirun"\nmpirun = "/a"')

    options = place.parsed("launch", "x.py")

    assert (options.on, options.partition, options.mpirun) == ("slurm", "a", "/a")
    assert place.parsed("launch", "--on", "ssh", "x.py").partition is None


def test_a_check_is_dry_as_it_is(place):
    place.user.write_text("dry-run = true")

    assert place.parsed("launch", "x.py").dry_run
    assert not place.parsed("check", "x.py").dry_run


def test_gpus_of_slurm_are_asked_for_in_one_way(place):
    place.user.write_text('on = "slurm"\ngres = "gpu:8"')

    assert place.parsed("launch", "--gpus-per-node", "4", "x.py").gres is None


@pytest.mark.parametrize("name", ["MADCTL_RUN_ID", "MADCTL_RUN_DIR", "MADCTL_HOSTFILE", "MADCTL_ATTEMPT"])
def test_variables_of_jobs_are_no_settings(place, name):
    before = vars(place.parsed("launch", "x.py"))
    place.set("environment", f"{name}=1")
    after = vars(place.parsed("launch", "x.py"))

    for one in (before, after):
        one.pop("parser")
    assert {key: value for key, value in after.items() if key != "settings"} == before
    assert after["settings"] == {}
    assert place.parsed("logs").attempt is None


def test_settings_count_inside_of_a_job(place):
    place.set("environment", "MADCTL_RUN_ID=20261129-102500-aaaaaaaa")
    place.project.write_text("nproc-per-node = 3")

    assert place.parsed("launch", "x.py").nproc_per_node == "3"


def test_a_variable_that_is_empty_is_not_set(place):
    place.project.write_text('hosts = "a"')
    place.set("environment", "MADCTL_HOSTS=")

    assert place.parsed("launch", "x.py").hosts == "a"


def test_the_profile_may_be_chosen_by_a_variable(place):
    place.project.write_text("[profile.a]\nport = 1\n[profile.b]\nport = 2\n[profile.a.status]\noutput = 'json'")
    place.set("environment", "MADCTL_PROFILE=a")

    assert place.parsed("launch", "x.py").port == 1
    assert place.parsed("launch", "--profile", "b", "x.py").port == 2
    assert place.parsed("status").output == "json"


def test_a_command_that_takes_no_profile_works_where_the_variable_names_none(place):
    place.set("environment", "MADCTL_PROFILE=a")

    assert place.parsed("status").output == "text"


def test_a_command_table_in_a_profile_wins_over_the_profile(place):
    place.project.write_text(
        "[launch]\nport = 1\n[profile.p]\nport = 2\n[profile.p.launch]\nport = 3\n[profile.q.launch]\nport = 4"
    )

    ports = [place.parsed("launch", *words, "x.py").port for words in ([], ["--profile=p"], ["--profile=q"])]

    assert ports == [1, 3, 4]
    assert place.parsed("check", "--profile=p").port == 2


def test_the_nearest_file_is_the_project(place, monkeypatch):
    below = place.project.parent / "a" / "b"
    below.mkdir(parents=True)
    place.project.write_text("port = 1")
    monkeypatch.chdir(below)
    assert place.parsed("launch", "x.py").port == 1
    (below.parent / "madctl.toml").write_text("")
    assert place.parsed("launch", "x.py").port is None


def test_the_own_file_is_not_a_project_as_well(place, monkeypatch):
    """Otherwise it would have to be trusted there."""
    place.user.write_text('inventory = "a,"')
    monkeypatch.chdir(place.user.parent)

    assert place.parsed("launch", "x.py").inventory == ["a,"]


def test_a_directory_that_is_gone_has_no_settings(place):
    gone = place.project.parent / "gone"
    gone.mkdir()

    os.chdir(gone)
    gone.rmdir()

    assert place.parsed("ps").output == "text"


def test_paths_are_seen_from_the_file(place, monkeypatch):
    below = place.project.parent / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    monkeypatch.setenv("HOME", "/home/me")
    place.project.write_text('hostfile = "hosts"\npython = "~/env/bin/python"\n[collect]\nto = "results"')
    place.user.write_text('ssh-config = "~/ssh"\nenv-file = "/etc/env"\nrun-root = "~/runs"\non = "slurm"')

    options = place.parsed("launch", "--on", "ssh", "x.py")

    assert options.hostfile == str(place.project.parent / "hosts")
    assert options.python == "/home/me/env/bin/python"
    assert (options.ssh_config, options.env_file) == ("/home/me/ssh", "/etc/env")
    assert place.parsed("launch", "x.py").run_root == "~/runs", "which may be that of a login node"
    assert place.parsed("collect").to == str(place.project.parent / "results")


def test_an_option_with_an_optional_value_is_a_switch_and_a_text(place):
    place.user.write_text('tags = ["a", "b"]\nreplace-containers = true')
    options = place.parsed("launch")
    assert (options.tags, options.replace_containers) == (["a", "b"], [""])
    place.user.write_text('tags = "a"\nreplace-containers = ["x", "y"]')
    options = place.parsed("launch")
    assert (options.tags, options.replace_containers) == (["a"], ["x", "y"])


def test_no_setting_changes_the_parser(place):
    place.project.write_text('skip = ["clock"]\nport = 1')
    options = place.parsed("launch", "--skip", "names", "x.py")
    place.project.write_text("")

    assert options.parser.parse_args(["launch"]).skip == []
    assert options.parser.parse_args(["launch"]).port is None
