# SPDX-License-Identifier: Apache-2.0
"""
Files for a model's script in its container: the environment of its node, and a runner that needs no eval.

These are programs for any shell: an image may have no Python, and then its ranks run uncounted. madengine mounts its
working directory at ``/myworkspace``, where our wrapper puts them. Pure; private to the collection.

    madengine ── model ── bash run.sh ── runner ─┬─ torchrun ── rank ── rank_wrapper.py
                                                 └─ mpirun ── agent ⇢ order of another node's runner
"""

from __future__ import annotations

import json
import shlex
from typing import Dict, Mapping, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import ModelWork, NodePlan, Plan
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import mpirun

_MODEL = """\
#!/bin/sh
# Run the script of a model with what madctl knows of this node.
{exports}here=${{0%/*}}
export MADCTL_RUN_DIR="$here" MADCTL_RUNNER_LINE="${{MAD_MULTI_NODE_RUNNER:-}}" MAD_MULTI_NODE_RUNNER="$here/runner"
# Calls of the runner on different nodes belong together if they are calls of the same model.
export MADCTL_MODEL="$(printf '%s\\n' "${{MAD_MODEL_NAME:-}}" "$PWD" "$*" | cksum 2>/dev/null | cut -d ' ' -f 1)"
exec "$@"
"""

# Which Python runs which program; an old one cannot run our wrapper.
_HAS_PYTHON = "\"$python\" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null"

_TORCHRUN = (
    """\
#!/bin/sh
# Run madengine's own runner; where there is Python, every rank reports when it joined and how it ended.
here=${0%/*} python=python3
if program=$(command -v torchrun) && IFS= read -r line < "$program"; then
  # Ranks get the Python of torchrun, which its first line names.
  line=${line#'#!'} && line=${line# }
  case ${line%% *} in */env) line=${line#* } ;; esac
  case ${line##*/} in python*) python=${line%% *} ;; esac
fi
if [ -z "${PYTHON_EXEC:-}" ] && """
    + _HAS_PYTHON
    + """; then
  export MADCTL_RANK_PYTHON="$python" PYTHON_EXEC="$here/rank"
fi
# The line begins with assignments, which only a shell understands.
eval "$MADCTL_RUNNER_LINE \\"\\$@\\""
"""
)

_RANK = """\
#!/bin/sh
# Stands for Python where torchrun starts a rank.
exec "$MADCTL_RANK_PYTHON" -I -S "${0%/*}/rank_wrapper.py" "$MADCTL_RANK_PYTHON" "$@"
"""

# Outside the container, a different user reads and removes what its root writes; no other user enters the directory.
_NEXT_CALL = """\
# A small image may lack what tells models apart, and a script may clear its environment.
MADCTL_MODEL=${MADCTL_MODEL:-0}
number=1
until (umask 0 && mkdir "$here/calls/$MADCTL_MODEL.$number" 2>/dev/null); do
  number=$((number + 1))
  [ "$number" -lt 100000 ] || exit 125
done
call=$MADCTL_MODEL.$number
"""

_MPIRUN = (
    """\
#!/bin/sh
# Start the ranks of one call: mpirun here, and its daemons where other nodes' scripts have come as far.
here=${{0%/*}} python=python3 mpirun={program}
refuse() {{
  (umask 0 && printf '%s %s\\n' "$1" "$2" > "$here/trouble")
  echo "madctl: $2" >&2
  exit 127
}}
"""
    + _NEXT_CALL.replace("{", "{{").replace("}", "}}")
    + """\
export MADCTL_CALL="$call"
command -v "$mpirun" >/dev/null 2>&1 || refuse MPI_MISSING "there is no $mpirun in the image"
said=$("$mpirun" --version 2>&1)
case $said in
  *"Intel(R) MPI"*) refuse MPI_UNSUPPORTED "the mpirun of the image is Intel MPI" ;;
  *[Mm][Vv][Aa][Pp][Ii][Cc][Hh]*) refuse MPI_UNSUPPORTED "the mpirun of the image is MVAPICH" ;;
  *"(Open MPI) 4."* | *"(OpenRTE) 4."*) kind=openmpi4 ;;
  *"(Open MPI)"* | *"(OpenRTE)"*) kind=openmpi5 ;;
  *"HYDRA build details"*) kind=mpich ;;
  *) refuse MPI_UNSUPPORTED "the mpirun of the image is neither Open MPI nor MPICH" ;;
esac
if """
    + _HAS_PYTHON
    + """; then
  set -- "$python" -I -S "$here/rank_wrapper.py" "$@"
fi
. "$here/$kind"
. "$here/mpirun.$kind"
"""
)

_AGENT = """\
#!/bin/sh
# Stands for what mpirun starts a daemon with: HOST WORDS...
here=${0%/*} host=$1
shift
umask 0
number=1
until mkdir "$here/asked/$number" 2>/dev/null; do
  number=$((number + 1))
  [ "$number" -lt 100000 ] || exit 125
done
asked=$here/asked/$number
printf '%s' "$host" > "$asked/host"
printf '%s' "MADCTL_CALL=$MADCTL_CALL $*" > "$asked/words"
: > "$asked/ready"
until [ -e "$asked/answer" ]; do
  kill -0 "$PPID" 2>/dev/null || exit 255
  sleep 0.1 2>/dev/null || sleep 1
done
read -r answer address < "$asked/answer"
if [ "$answer" != started ]; then
  echo "madctl: $host: $(cut -d ' ' -f 2- "$asked/answer")" >&2
  exit 255
fi
# MPICH takes an agent that ends before its daemon has connected for one that failed. The connection may be over before
# we look for it, and mpirun waits for us: the end of the daemon will do.
port=
while [ $# -gt 1 ]; do
  [ "$1" != --control-port ] || port=${2##*:}
  shift
done
[ -n "$port" ] || exit 0
port=$(printf '%04X' "$port") peer=$(IFS=. && set -- $address && printf '%02X%02X%02X%02X' "$4" "$3" "$2" "$1")
until grep -q ":$port $peer:[0-9A-F]* 01" /proc/net/tcp || [ -e "$asked/done" ]; do
  kill -0 "$PPID" 2>/dev/null || exit 255
  sleep 0.1 2>/dev/null || sleep 1
done
"""

_WAITING = (
    """\
#!/bin/sh
# Wait until mpirun on the first node asks for a daemon of this call, and be that. What else was given is its business.
here=${0%/*}
"""
    + _NEXT_CALL
    + """\
until [ -e "$here/orders/$call" ]; do
  if read -r status 2>/dev/null < "$here/over"; then exit "$status"; fi
  sleep 0.1 2>/dev/null || sleep 1
done
(umask 0 && : > "$here/begun/$call")
order=$(cat "$here/orders/$call")
# Ranks get from their daemon what they need here.
case $order in
  *hydra_pmi_proxy*) . "$here/mpich" ;;
  *prted*) . "$here/openmpi5" ;;
  *orted*) . "$here/openmpi4" ;;
esac
sh -c "$order"
status=$?
(umask 0 && : > "$here/done/$call")
# A shell's word for a program that it does not find.
if [ "$status" = 127 ]; then
  (umask 0 && echo "MPI_MIXED the image lacks the daemon of the first node's mpirun" > "$here/trouble")
fi
exit "$status"
"""
)

# The kinds that the runner distinguishes, and the versions that they print.
_KINDS = {
    "openmpi4": mpirun.Mpi("mpirun", mpirun.OPENMPI, "4"),
    "openmpi5": mpirun.Mpi("mpirun", mpirun.OPENMPI, "5"),
    "mpich": mpirun.Mpi("mpirun", mpirun.MPICH, ""),
}
AGENT = "agent"


def of(plan: Plan, node: NodePlan, model: ModelWork) -> Dict[str, str]:
    """Return the text of every file that a node's container gets, by name."""
    found = {"model": _MODEL.format(exports=_exports(model["variables"]))}
    if not runners.ranks_by(plan["runner"]).daemons:
        return {**found, "runner": _TORCHRUN, "rank": _RANK, "ranks.json": _ranks(plan)}
    found["ranks.json"] = _ranks(plan)
    for name, kind in _KINDS.items():
        setting = _setting(plan, node, model)
        found[name] = _exports(mpirun.environment(setting, kind))
        words = ['"$mpirun"', *map(_quoted, mpirun.words(setting, kind)[1:]), '"$@"']
        found["mpirun." + name] = "exec %s\n" % " ".join(words)
    program = shlex.quote(model["mpirun"] or "mpirun")
    runner = _WAITING if node["node_rank"] else _MPIRUN.format(program=program)
    # Some daemons look for the agent although they start nothing.
    return {**found, "runner": runner, AGENT: _AGENT}


def _exports(variables: Mapping[str, str]) -> str:
    return "".join("export %s=%s\n" % (name, shlex.quote(value)) for name, value in variables.items())


def _ranks(plan: Plan) -> str:
    """Return what the wrapper of a rank reads; the runner, and so madengine, also gets its output."""
    about = {"python": "python3", "argv": [], "start_timeout": plan["start_timeout"], "passes_output": True}
    return json.dumps(about)


def _setting(plan: Plan, node: NodePlan, model: ModelWork) -> mpirun.Setting:
    slots = [(entry["address"], entry["nproc_per_node"]) for entry in plan["nodes"]]
    network = plan["network"] if len(slots) > 1 else None
    return mpirun.Setting(
        slots if network else [("localhost", number) for _, number in slots],
        ["%s/%s" % (run_directory.CONTAINER_PLACE, AGENT)],
        network,
        node["interface"],
        model["mpi_args"],
        model["variables"],
        as_root=True,
    )


def _quoted(word: Word) -> str:
    return shlex.quote(unpack(word))


def exported(env: Mapping[str, object], chosen: Mapping[str, object], given: Sequence[str]) -> Dict[str, str]:
    """
    Return the variables that a model's script gets.

    Args:
        env: The variables of this node's job.
        chosen: ``multi_node_args`` of this node's context, whose values win.
        given: Variables that the user's context sets in the container.
    """
    found = {name: env[name] for name in _VARIABLES if name in env}
    found.update({name: chosen[name] for name in _VARIABLES if name in chosen})
    return {name: str(value) for name, value in found.items() if name not in given}


_VARIABLES = (
    *("MASTER_ADDR", "MASTER_PORT", "NNODES", "NODE_RANK"),
    *("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_FAMILY"),
)
