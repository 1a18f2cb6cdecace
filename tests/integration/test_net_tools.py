# SPDX-License-Identifier: Apache-2.0
"""
How net-tools are installed where dnf, yum or zypper is the package manager.

The dnf, yum and zypper of these tests are FAKES: the lab's hosts are Debian, and no repository of another
distribution can be reached from them. A fake writes down what it was called with, and "installs" by
putting ifconfig back. What is real is the role, the connection, and that the launch continues. What is
not tested is that real package managers take these words.
"""

import pytest

pytestmark = pytest.mark.lab

CALLS = "/run/fake-calls"
STALE = "/run/fake-index-is-stale"
# An index that is stale names a package that is gone: nothing is installed until a fresh one is asked for.
FAKE = f"""#!/bin/sh
printf '%s\\n' "${{0##*/}} $*" >> {CALLS}
case "$*" in
  refresh | *" refresh" | *metadata_expire=1*) rm -f {STALE} ;;
esac
case "$*" in
  *" install "*) ;;
  *) exit 0 ;;
esac
[ -e {STALE} ] && {{ echo 'the package is gone from the repository' >&2; exit 104; }}
mv /usr/sbin/hidden-ifconfig /usr/sbin/ifconfig
exit $(cat /run/fake-exit-code)
"""
DNF = "dnf --assumeyes --setopt=*.metadata_expire={} install net-tools"
YUM = DNF.replace("dnf", "yum")
ZYPPER = "zypper --non-interactive --no-refresh install net-tools-deprecated"


@pytest.fixture
def host(on):
    """Make node2 a host without ifconfig and apt-get, and with fakes of other package managers."""
    made = []

    def make(*managers, stale=False, broken=False, code=0):
        on("node2", "mv", "/usr/sbin/ifconfig", "/usr/sbin/hidden-ifconfig")
        on("node2", "mv", "/usr/bin/apt-get", "/usr/bin/hidden-apt-get")
        on("node2", "sh", "-c", f"echo {code} > /run/fake-exit-code; : > {CALLS}")
        if stale:
            on("node2", "touch", STALE)
        if broken:
            # No fake can remove a directory: the index stays stale.
            on("node2", "mkdir", STALE)
        for manager in managers:
            path = f"/usr/bin/{manager}"
            made.append(path)
            on("node2", "sh", "-c", f'printf %s "$1" > {path} && chmod 755 {path}', "sh", FAKE)

    yield make
    on("node2", "rm", "-rf", CALLS, STALE, "/run/fake-exit-code", *made)
    for name in ("/usr/bin/apt-get", "/usr/sbin/ifconfig"):
        directory, _, program = name.rpartition("/")
        on("node2", "sh", "-c", f"! [ -e {directory}/hidden-{program} ] || mv {directory}/hidden-{program} {name}")


@pytest.fixture
def calls(on):
    """Return what the fakes were called with, one line per call."""
    return lambda: on("node2", "cat", CALLS).splitlines()


@pytest.mark.parametrize(
    ("managers", "stale", "expected"),
    [
        (["dnf"], False, [DNF.format("never")]),
        (["dnf"], True, [DNF.format("never"), DNF.format(1)]),
        (["yum"], False, [YUM.format("never")]),
        # A machine with dnf has yum under its name too.
        (["dnf", "yum"], False, [DNF.format("never")]),
        (["zypper"], False, [ZYPPER]),
        (["zypper"], True, [ZYPPER, "zypper --non-interactive refresh", ZYPPER]),
        # SUSE has dnf among its packages.
        (["dnf", "zypper"], False, [ZYPPER]),
    ],
)
def test_the_index_at_hand_comes_first_and_a_fresh_one_only_then(launch, host, calls, managers, stale, expected):
    host(*managers, stale=stale)
    done = launch("--command", "--", "true")

    assert done.code == 0, done.err
    assert calls() == expected


def test_zypper_may_say_that_a_restart_is_wanted(launch, host, calls):
    host("zypper", code=102)
    done = launch("--command", "--", "true")

    assert done.code == 0, done.err
    assert calls() == [ZYPPER]


@pytest.mark.parametrize(
    ("manager", "expected"),
    [
        ("dnf", [DNF.format("never"), DNF.format(1)]),
        ("zypper", [ZYPPER, "zypper --non-interactive refresh", ZYPPER]),
    ],
)
def test_a_failed_installation_starts_nothing(launch, host, calls, manager, expected):
    host(manager, broken=True)
    done = launch("--command", "--", "true")

    assert (done.code, done.codes) == (3, ["NET_TOOLS_MISSING"])
    assert done.json["errors"][0]["host"] == "node2"
    assert calls() == expected


@pytest.mark.parametrize("words", [["--no-install"], ["--dry-run"]])
def test_nothing_is_installed_unasked(launch, host, calls, words):
    host("dnf")
    done = launch(*words, "--command", "--", "true")

    assert (done.code, done.codes) == (3, ["NET_TOOLS_MISSING"])
    assert calls() == []


def test_nothing_is_asked_where_ifconfig_is(launch, host, calls, on):
    host("dnf")
    on("node2", "mv", "/usr/sbin/hidden-ifconfig", "/usr/sbin/ifconfig")
    done = launch("--command", "--", "true")

    assert done.code == 0, done.err
    assert calls() == []
