# SPDX-License-Identifier: Apache-2.0
"""
What playbooks return and print, held against what is promised: modules document their results, and no line names a
command or an option of madctl.
"""

import json
import re
import subprocess
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils._request import variables
from docs.generators import plugin_docs

CALLBACKS = Path(__file__).with_name("callbacks")
TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool, "list": list, "dict": dict}
# What Ansible adds to results, or gives a meaning of its own.
OF_ANSIBLE = {
    *("changed", "deprecations", "diff", "exception", "failed", "failed_when_result"),
    *("invocation", "msg", "skip_reason", "skipped", "unreachable", "warnings"),
}
# What travels with a result and is promised to nobody.
INTERNAL = {
    *("by_scheduler", "candidates", "detached", "error", "fingerprints"),
    *("left", "nodes", "restarts", "trouble"),
}
# Commands of other programs, up to the next part of a remedy.
_OTHERS = re.compile(r"\b(?:ansible|ansible-playbook|git|ip|kubectl|pip) [^;,]*")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
_COMMAND = re.compile(r"(?<!/)\bmadctl (?:attach|check|collect|gc|lab|launch|logs|ps|rerun|report|status|stop|top)\b")


def environment(path):
    """Return the variables with which Ansible keeps the results of our modules in a file."""
    kept = {"ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS), "ANSIBLE_CALLBACKS_ENABLED": "kept_results"}
    return {**kept, "MADCTL_TEST_RESULTS": str(path)}


def play(argv, variables_of_shell, directory, **how):
    """Run a playbook to its end, and hold what it returns and prints against what is promised."""
    kept = directory / "results.jsonl"
    kept.unlink(missing_ok=True)
    own = {**variables_of_shell, **environment(kept)}
    done = subprocess.run(argv, env=own, capture_output=True, text=True, timeout=300, check=False, **how)
    assert foreign_words(done.stdout + done.stderr) == []
    done.results = read(kept)
    return done


def read(path):
    """Return the results in a file, as pairs of module and result without Ansible's own keys, and judge them."""
    lines = path.read_text().splitlines() if path.exists() else []
    # What no_log hides is not here.
    kept = [one for one in map(json.loads, lines) if "censored" not in one["result"]]
    found = [(one["module"], _own(one["result"])) for one in kept]
    for module, result in found:
        assert (module, wrong(module, result)) == (module, [])
    return found


def _own(result):
    return {key: value for key, value in result.items() if key not in OF_ANSIBLE and not key.startswith("_ansible")}


def wrong(module, result):
    """List what a result has, or lacks, against the documentation of its module."""
    declared = plugin_docs.returned(module)
    found = [f"{key}: undocumented" for key in result if key not in {*declared, *INTERNAL}]
    for key, about in declared.items():
        value = result.get(key)
        # A task that is refused before it asks a node has a message and nothing else.
        if result and about["returned"] == "always" and key not in result:
            found.append(f"{key}: missing")
        if value is not None and not _is(value, about["type"]):
            found.append(f"{key}: {type(value).__name__}, not {about['type']}")
        if isinstance(value, list) and not all(_is(one, about["elements"]) for one in value):
            found.append(f"{key}: not a list of {about['elements']}")
    return found


def _is(value, name):
    return isinstance(value, TYPES[name]) and (name == "bool" or not isinstance(value, bool))


def never(module, *plays):
    """Return the documented keys that no result of a module had."""
    came = {key for play in plays for name, result in play.results if name == module for key in result}
    return set(plugin_docs.returned(module)) - came


def foreign_words(text):
    """Return the lines of problems that name options or commands of madctl, which users of playbooks do not have."""
    own = {*variables.BY_OPTION, *variables.OF_INVENTORY}
    lines = [_OTHERS.sub("", line) for line in re.findall(r"^madctl: .*\[[A-Z_]+\]$", text, re.M)]
    return [line for line in lines if own & set(_OPTION.findall(line)) or _COMMAND.search(line)]
