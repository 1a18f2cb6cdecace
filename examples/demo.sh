#!/usr/bin/env bash
# What "make demo" shows: checks, a training with a checkpoint, a rank that fails, and what madctl says about it.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

# Print a command as one would type it, and run it.
show() {
  printf '\n$ %s\n' "$*"
  "$@"
}

if [ "$(id -u)" = 0 ]; then
  madctl lab down --name demo > /dev/null 2>&1
  # A demo that does not come to its end leaves nothing; one that does leaves the lab, to try more.
  trap 'madctl lab down --name demo' EXIT
  show madctl lab up -n 2 --name demo
  nodes=(--lab demo --shared-path /shared)
  checkpoint=/shared/model.pt
else
  echo 'not root: the lab needs root, so the job runs on this machine as a single node'
  nodes=()
  checkpoint=$(mktemp -d)/model.pt
fi
train=(madctl launch "${nodes[@]}" --nproc-per-node 2 examples/train.py --checkpoint "$checkpoint")

show madctl check "${nodes[@]}" --nproc-per-node 2 examples/train.py
show "${train[@]}"
code=0
show "${train[@]}" --epochs 5 --break-rank 1 || code=$?
[ "$code" = 6 ] || exit 1
show madctl status

trap - EXIT
cat << END

Rank 1 failed, and madctl stopped the others. What to type next:
  source .venv/bin/activate
  madctl logs --rank 1            # all that it printed
END
if [ "$(id -u)" = 0 ]; then
  cat << END
  madctl lab status --name demo   # the hosts, which are still up, and what they share
  madctl lab down --name demo     # remove them, when you have finished
END
fi
cat << END
  # continue the training after the last checkpoint:
  ${train[*]} --epochs 5
END
