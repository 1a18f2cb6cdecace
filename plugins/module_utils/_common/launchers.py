# SPDX-License-Identifier: Apache-2.0
"""
Recognise programs that start ranks by themselves, also behind programs that only run another command.

A launcher inside a rank starts a world of its own there, and every rank of the job reports success. Pure, and
delivered with the supervisor, so it imports nothing of the collection; private to the collection.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Sequence, Tuple

_TORCH = ("torchrun",)
_MPI = ("mpirun", "mpiexec", "orterun", "prterun", "prun", "mpirun_rsh")
_BATCH = ("srun", "sbatch", "salloc", "jsrun", "aprun", "ibrun", "yhrun", "bsub")
_OTHERS = (
    *("accelerate", "accelerate-launch", "deepspeed", "horovodrun", "composer", "colossalai", "ft_launcher"),
    *("torchx", "msrun", "deepspeed.launcher.runner", "deepspeed.launcher.launch", "accelerate.commands.launch"),
    *("composer.cli.launcher", "colossalai.cli.cli", "horovod.runner.launch"),
)
_OURS = ("madctl", "madengine")
_KNOWN = frozenset((*_TORCH, *_MPI, *_BATCH, *_OTHERS, *_OURS))
# torch.distributed.run and its counterparts in other frameworks, as a module or as its file.
_MODULE = re.compile(r"(?:torch|paddle|oneflow)\.distributed\.(?:run|launch)")
_FILE = re.compile(r"(?:.*/)?(?:torch|paddle|oneflow)/distributed/(?:run|launch)\.py")
# mpirun.openmpi, mpiexec.hydra, mpirun-5.0
_MPI_NAME = re.compile(r"(?:mpirun|mpiexec|orterun)[.-](?:openmpi|mpich|hydra|gforker|mvapich|intel|prte|\d)[\w.-]*")
_SCRIPT = re.compile(r".*\.(?:py|sh|pl|rb)")
# Names that users also give to their own programs.
_COMMON = ("prun", "composer")
# Programs that start ranks only with one of their subcommands.
_VERBS = {"flux": "run", "tune": "run"}
_PYTHON = re.compile(r"(?:python|pypy)(?:\d+(?:\.\d+)*)?")
_SHELL = re.compile(r"(?:ba|da|z|k|c|tc|fi)?sh")
_ASSIGNMENT = re.compile(r"\w+\+?=.*", re.DOTALL)
_BETWEEN_COMMANDS = frozenset(";&|()")
# Programs that run another command: options that take a word, and how many words come before the command.
_WRAPPERS: Dict[str, Tuple[str, int]] = {
    "env": ("uC", 0),
    "time": ("fo", 0),
    "nice": ("n", 0),
    "ionice": ("cn", 0),
    "chrt": ("TPD", 1),
    "taskset": ("", 1),
    "timeout": ("ks", 1),
    "stdbuf": ("ioe", 0),
    "numactl": ("NmCpP", 0),
    "flock": ("wE", 1),
    "sudo": ("ugpCDhRrtTU", 0),
    "runuser": ("ugG", 0),
    "exec": ("a", 0),
    "xvfb-run": ("enfspw", 0),
    **dict.fromkeys(("apptainer", "singularity"), ("BH", 1)),
    **dict.fromkeys(("nsys", "ncu", "rocprof", "rocprofv3", "perf"), ("oeit", 0)),
    **dict.fromkeys(("conda", "mamba", "micromamba", "uv", "poetry", "pipenv", "pdm"), ("np", 0)),
    **dict.fromkeys(("hatch", "pixi", "rye", "pipx", "uvx"), ("np", 0)),
    **dict.fromkeys(("setpriv", "prlimit", "catchsegv", "nohup", "setsid", "command", "eval", "unbuffer"), ("", 0)),
    # Shell keywords that precede a command.
    **dict.fromkeys(("then", "do", "else", "if", "elif", "while", "until", "!", "{"), ("", 0)),
}
# Long options of any of these programs that take the next word.
_LONG_WITH_WORD = frozenset(
    ("--unset", "--chdir", "--signal", "--kill-after", "--adjustment", "--class", "--classdata", "--user", "--group")
    + ("--cpunodebind", "--membind", "--interleave", "--physcpubind", "--preferred", "--input", "--output", "--error")
    + ("--python", "--with", "--package", "--env-file", "--directory", "--project", "--name", "--prefix", "--cwd")
)
_SUBCOMMANDS = ("run", "exec", "profile", "stat", "record")
_SPLIT = re.compile(r"(?:--split-string=|-[a-zA-Z0]*?S)(.+)", re.DOTALL)
_DEEPEST = 16
_SHOWN = 120
_TEXT_CHARACTERS = 1 << 14
# torchrun's options without a value.
_TORCHRUN_FLAGS = ("standalone", "no-python", "m", "module", "run-path", "use-env", "h", "help")


def is_python(word: str) -> bool:
    """Return whether a word names a Python, by its name or its path."""
    return bool(_PYTHON.fullmatch(word.rpartition("/")[2]))


def unwrapped(words: Sequence[str]) -> List[str]:
    """Return a command line without the wrappers before it, such as env, nice or a variable."""
    left = list(words)
    for _ in range(_DEEPEST):
        while left and _ASSIGNMENT.fullmatch(left[0]) and "/" not in left[0].partition("=")[0]:
            left = left[1:]
        name = left[0].rpartition("/")[2] if left else ""
        if name not in _WRAPPERS:
            return left
        left = _passed_on(name, left[1:])
    return []


def launcher(words: Sequence[str], depth: int = 0) -> Optional[List[str]]:
    """Return the words from a launcher on, if a command line is a launcher or starts one; otherwise None."""
    left = unwrapped(words)
    if not left or depth > _DEEPEST:
        return None
    name = left[0].rpartition("/")[2]
    if _FILE.fullmatch(left[0]) or _is_program(left[0]) and _starts_ranks(name, left[1:]):
        return [name, *left[1:]]
    if left[0] == "-m":
        return _module(left[1:], depth)
    if is_python(left[0]):
        return _python(left[1:], depth)
    return _shell(left[1:], depth) if _SHELL.fullmatch(name) else None


def _is_program(word: str) -> bool:
    """Return whether a word names an installed program, rather than a file of the user's with the same name."""
    directory, _, name = word.rpartition("/")
    is_own = name in _COMMON and directory and not directory.startswith("/") and not directory.endswith("bin")
    return not is_own and not _SCRIPT.fullmatch(word)


def _starts_ranks(name: str, words: Sequence[str]) -> bool:
    is_verb = words[:1] == [_VERBS.get(name)] and (name != "tune" or any(word.startswith("--nproc") for word in words))
    return name in _KNOWN or is_verb or _MPI_NAME.fullmatch(name) is not None


def _module(words: Sequence[str], depth: int) -> Optional[List[str]]:
    if not words:
        return None
    if _MODULE.fullmatch(words[0]) or words[0] in _KNOWN:
        return list(words)
    return launcher(words[1:], depth + 1) if words[0] == "torch.utils.bottleneck" else None


def _python(words: Sequence[str], depth: int) -> Optional[List[str]]:
    """Inspect what a Python runs: a module, or a script that is a program."""
    kind, target, rest = python_target(words)
    if kind == "module":
        return _module([target, *rest], depth)
    # A name without a directory is a local file, whatever it is called.
    return launcher([target, *rest], depth + 1) if kind == "script" and "/" in target else None


def python_target(words: Sequence[str]) -> Tuple[str, str, List[str]]:
    """
    Return what a Python runs, judging by the words after it.

    Returns:
        ``script``, ``module``, ``code`` or ``nothing``; its name or text; the words after it.
    """
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return ("script", left[0], left[1:]) if left else ("nothing", "", [])
        if word == "-":
            return "code", word, left
        if not word.startswith("-"):
            return "script", word, left
        if word.startswith("--"):
            left = left[1:] if word == "--check-hash-based-pycs" else left
            continue
        for place, letter in enumerate(word[1:], 2):
            if letter in "cmWX":
                value = [word[place:]] if word[place:] else left[:1]
                left = left if word[place:] else left[1:]
                if letter in "cm":
                    return ("module" if letter == "m" else "code", "".join(value), left)
                break
    return "nothing", "", []


def script_of(words: Sequence[str]) -> Optional[str]:
    """Return the file that an interpreter, such as a shell, runs; None if it gets the text itself."""
    words = unwrapped(words)
    name = words[0].rpartition("/")[2] if words else ""
    if words and is_python(words[0]):
        kind, target, _ = python_target(words[1:])
        return target if kind == "script" else None
    if not _SHELL.fullmatch(name) and name not in ("perl", "ruby", "Rscript", "julia", "node", "lua", "expect"):
        return None
    text = "c" if _SHELL.fullmatch(name) else "eE"
    left = list(words[1:])
    while left and left[0].startswith(("-", "+")):
        word = left.pop(0)
        if word in ("--", "-"):
            break
        if not word.startswith("--") and any(letter in word for letter in text):
            return None
        if word in ("-o", "+o", "-O", "+O", "--rcfile", "--init-file"):
            left = left[1:]
    return left[0] if left else None


def _shell(words: Sequence[str], depth: int) -> Optional[List[str]]:
    """Inspect every command of a shell's ``-c`` text, or the name of its script."""
    for place, word in enumerate(words):
        if not word.startswith(("-", "+")):
            return launcher(words[place:], depth + 1)
        if not word.startswith("--") and "c" in word:
            texts = [entry for entry in words[place + 1 :] if not entry.startswith("-")][:1]
            return next(filter(None, (launcher(each, depth + 1) for each in _commands("".join(texts)))), None)
    return None


def _commands(text: str) -> List[List[str]]:
    import shlex  # Only needed for the text of a shell, and nodes load this module as well.

    lexer = shlex.shlex(
        text[:_TEXT_CHARACTERS].replace("\\\n", " ").replace("\n", ";"), posix=True, punctuation_chars=True
    )
    lexer.whitespace_split = True
    commands: List[List[str]] = [[]]
    try:
        for token in lexer:
            if token and set(token) <= _BETWEEN_COMMANDS:
                commands.append([])
            else:
                commands[-1].append(token)
    except ValueError:
        return []  # A shell would not accept it either.
    return commands


def _passed_on(name: str, words: Sequence[str]) -> List[str]:
    with_word, before = _WRAPPERS[name]
    left = list(words[1:] if words and words[0] in _SUBCOMMANDS else words)  # conda run, uv run, nsys profile
    while left and left[0].startswith("-") and len(left[0]) > 1:
        word = left.pop(0)
        joined = _SPLIT.fullmatch(word) if name == "env" else None
        if joined or name == "env" and word.endswith(("S", "--split-string")) and left:
            text = joined.group(1) if joined else left.pop(0)
            return (_commands(text) or [[]])[0] + left
        if name == "uv" and word == "-m":
            return [word, *left]
        if word == "--":
            break
        if word in _LONG_WITH_WORD and left:
            left.pop(0)
        # The word may be part of the option: -n5, --signal=KILL.
        if not word.startswith("--") and word[-1] in with_word and left:
            left.pop(0)
    return [word for word in left if word != "-"] if name == "env" else left[before:]


def instead(found: Sequence[str]) -> str:
    """Return what to write in place of a launcher: a part of madctl's command line."""
    import shlex

    name = found[0].rpartition("/")[2]
    if name in _TORCH or _MODULE.fullmatch(name) or _FILE.fullmatch(found[0]) or name in ("run.py", "launch.py"):
        return "leave it out, madctl starts torchrun: %s" % _shown(_without_torchrun(found[1:]))
    if name.partition(".")[0].partition("-")[0] in _MPI:
        return "leave it out: --runner mpirun -- PROGRAM"
    if name in _BATCH:
        return "leave it out: -- PROGRAM"
    if name in _OURS:
        return "--tags MODEL" if name == "madengine" else "leave it out: -- PROGRAM"
    python = ["python3", "-m"] if "." in name else []
    return "to run it once per node: --command -- %s" % _shown(shlex.join([*python, *found]))


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 2] + " …"


def _without_torchrun(words: Sequence[str]) -> str:
    import shlex

    left, count, module = list(words), [], False
    while left and left[0].startswith("-"):
        option, equals, value = left.pop(0).partition("=")
        name = option.lstrip("-").replace("_", "-")
        module = module or name in ("m", "module")
        if name in _TORCHRUN_FLAGS:
            continue
        if not equals:
            value = left.pop(0) if left else ""
        if name == "nproc-per-node":
            count = ["--nproc-per-node", value]
    return shlex.join([*count, "--", *(["-m"] if module else []), *(left or ["train.py"])])
