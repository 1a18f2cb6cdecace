# SPDX-License-Identifier: Apache-2.0
"""
The table of options: for each the name on madctl's command line, the variable of the playbooks, and what it accepts.

Both entry points read it. Data; private to the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, runners
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._request.kinds import Kind, commas, entries, shell_words

PREFIX = "madctl_"
# Prefixes of the names of options that only the jobs of a scheduler accept.
OF_SCHEDULER = {"slurm": "slurm_", "k8s": "k8s_"}


class Row(NamedTuple):
    """One option."""

    name: str  # of a module's argument; the variable begins with ``madctl_``
    option: Optional[str]  # of madctl; None for a variable without an option
    kind: Kind
    split: Optional[Callable[[Any], List[Any]]] = None  # how a list is written as one text; None for a single value
    default: Any = None
    told: Optional[str] = None  # how a playbook sets it, unless as ``madctl_NAME: {}``
    is_internal: bool = False  # passed by madctl itself, never typed

    @property
    def variable(self) -> str:
        """The variable of the playbooks."""
        return PREFIX + self.name

    @property
    def spoken(self) -> str:
        """The name on the command line."""
        return self.option or self.variable

    @property
    def attribute(self) -> str:
        """The attribute in which argparse stores it."""
        return (self.option or "")[2:].replace("-", "_")

    @property
    def scheduler(self) -> Optional[str]:
        """The scheduler whose jobs alone accept it; None for all others."""
        return next((on for on, prefix in OF_SCHEDULER.items() if self.name.startswith(prefix)), None)

    def parse(self, value: Any) -> Any:
        """
        Parse a value, or a list of them.

        Raises:
            kinds.UnfitError: If one is not accepted.
        """
        if self.split is None:
            return self.kind.parse(value)
        try:
            values = self.split(value)
        except (ValueError, TypeError) as error:
            raise kinds.UnfitError(value) from error
        return [self.kind.parse(one) for one in values]


def _host_names(value: Any) -> List[str]:
    """Expand lists of hosts."""
    from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist

    return [host.name for text in entries(value) for host in hostlist.from_scheduler(str(text))]


def _host_list(value: Any) -> str:
    _host_names(value)
    return str(value)


_HOSTS = Kind(_host_list, "names of hosts such as gpu[1-3],a")
_SHAPES = kinds.choice(*runners.shapes())
_SKIPPABLE = [name for name in catalog.NAMES if name in catalog.SKIPPABLE]
TABLE = (
    Row("work", None, kinds.WORD, shell_words),
    Row("shape", "--command", _SHAPES, default=runners.shapes()[0], told="madctl_shape: command"),
    Row("runner", "--runner", kinds.choice(*runners.names()), default=runners.names()[0]),
    Row("mpirun", "--mpirun", kinds.ABSOLUTE_PATH),
    Row("mpi_args", "--mpi-args", kinds.ARGUMENT, shell_words),
    Row("allow_run_as_root", "--allow-run-as-root", kinds.SWITCH, default=False, told="madctl_allow_run_as_root: true"),
    Row("python", "--python", kinds.TEXT),
    Row("nproc_per_node", "--nproc-per-node", kinds.whole_or(1, 1024, "auto", "gpu"), default="auto"),
    Row("gpus", "--gpus", kinds.choice("same", "min", "per-node"), default="same"),
    Row("master_addr", "--master-addr", kinds.ADDRESS),
    Row("master_port", "--master-port", kinds.whole_or(1, 65535, "auto"), default="29500"),
    Row("interface", "--interface", kinds.INTERFACE),
    Row("shared_paths", "--shared-path", kinds.ABSOLUTE_PATH, commas, told="madctl_shared_paths: [{}]"),
    Row("shared_fstypes", "--shared-fstype", kinds.TEXT, commas, told="madctl_shared_fstypes: [{}]"),
    Row("env", "--env", kinds.VARIABLES, default={}),
    Row("chdir", "--chdir", kinds.TEXT),
    Row("sync", "--sync", kinds.PRINTABLE),
    Row("setup", "--setup", kinds.SHELL_TEXT, default=""),
    Row("login_shell", "--login-shell", kinds.SWITCH, default=False, told="madctl_login_shell: true"),
    Row("run_dir", "--run-dir", kinds.TEXT),
    Row("timeout", "--timeout", kinds.LIMIT, default=0),
    Row("idle_timeout", "--idle-timeout", kinds.LIMIT, default=0),
    Row("log_cap", "--log-cap", kinds.BYTES, default=1 << 30),
    Row("start_timeout", "--start-timeout", kinds.SECONDS, default=60),
    Row("nnodes", "--nnodes", kinds.whole(0, kinds.MAX_HOSTS), default=0),
    Row("max_restarts", "--max-restarts", kinds.whole(0, 4096), default=0),
    Row("tags", "--tags", kinds.TEXT, commas),
    Row("additional_context", "--additional-context", kinds.DATA, default={}),
    Row("force_mirror_local", "--force-mirror-local", kinds.ABSOLUTE_PATH),
    Row("replace_containers", "--replace-containers", kinds.TEXT, commas, told="madctl_replace_containers: ['{}']"),
    Row("dry_run", "--dry-run", kinds.SWITCH, default=False),
    Row("name", "--name", kinds.NAME),
    Row("note", "--note", kinds.NOTE),
    Row("detach", "--detach", kinds.SWITCH, default=False),
    Row("skip", "--skip", kinds.names(_SKIPPABLE), commas, told="madctl_skip: [{}]"),
    Row("only", "--only", kinds.names(catalog.NAMES), commas),
    Row("install", "--no-install", kinds.SWITCH, default=True, told="madctl_install: false"),
    Row("become", None, kinds.SWITCH, default=True),
    # About one run, or all of them.
    Row("run_id", None, kinds.TEXT),
    Row("grace", None, kinds.GRACE, default=45),
    Row("follow", "--follow", kinds.SWITCH, default=False),
    Row("since", "--since", kinds.MOMENT),
    Row("lines", "--lines", kinds.whole(0, 10**9)),
    Row("show_hosts", "--host", _HOSTS, _host_names, told="madctl_show_hosts: [{}]"),
    Row("show_ranks", "--rank", kinds.RANKS, entries, told="madctl_show_ranks: [{}]"),
    Row("dest", "--to", kinds.TEXT),
    Row("max_size", "--max-size", kinds.BYTES, default=1 << 32),
    Row("days", "--days", kinds.DAYS, default=7),
    # A Slurm job.
    Row("on", "--on", kinds.choice("ssh", "slurm", "k8s"), default="ssh"),
    Row("run_root", "--run-root", kinds.HOME_PATH),
    Row("slurm_nodes", "--nodes", kinds.whole(1, kinds.MAX_HOSTS)),
    Row("slurm_partition", "--partition", kinds.PRINTABLE),
    Row("slurm_account", "--account", kinds.PRINTABLE),
    Row("slurm_qos", "--qos", kinds.PRINTABLE),
    Row("slurm_time", "--time", kinds.PRINTABLE),
    Row("slurm_constraint", "--constraint", kinds.PRINTABLE),
    Row("slurm_reservation", "--reservation", kinds.PRINTABLE),
    Row("slurm_nodelist", "--nodelist", kinds.PRINTABLE),
    Row("slurm_exclude", "--exclude", kinds.PRINTABLE),
    Row("slurm_gpus_per_node", "--gpus-per-node", kinds.PRINTABLE),
    Row("slurm_gres", "--gres", kinds.PRINTABLE),
    Row("slurm_dependency", "--dependency", kinds.PRINTABLE),
    Row("slurm_begin", "--begin", kinds.PRINTABLE),
    Row("slurm_exclusive", "--exclusive", kinds.SWITCH, default=False, told="madctl_slurm_exclusive: true"),
    Row("slurm_args", "--sbatch-args", kinds.ARGUMENT),
    Row("slurm_conf", None, kinds.ABSOLUTE_PATH),
    # A Kubernetes Job.
    Row("k8s_kubeconfig", "--kubeconfig", kinds.TEXT),
    Row("k8s_context", "--context", kinds.PRINTABLE),
    Row("k8s_namespace", "--namespace", kinds.PRINTABLE),
    Row("k8s_image", "--image", kinds.PRINTABLE),
    Row("k8s_image_pull_policy", "--image-pull-policy", kinds.choice("Always", "IfNotPresent", "Never")),
    Row(
        *("k8s_image_pull_secrets", "--image-pull-secret", kinds.PRINTABLE, commas),
        told="madctl_k8s_image_pull_secrets: [{}]",
    ),
    Row("k8s_gpus_per_node", "--gpus-per-node", kinds.whole(0, 1024)),
    Row("k8s_gpu_resource", "--gpu-resource", kinds.PRINTABLE),
    Row("k8s_cpu", "--cpu", kinds.PRINTABLE),
    Row("k8s_memory", "--memory", kinds.PRINTABLE),
    Row("k8s_shm_size", "--shm-size", kinds.PRINTABLE),
    Row("k8s_resources", "--resource", kinds.PRINTABLE, commas, told="madctl_k8s_resources: [{}]"),
    Row("k8s_node_selector", "--node-selector", kinds.PRINTABLE, commas, told="madctl_k8s_node_selector: [{}]"),
    Row("k8s_tolerations", "--toleration", kinds.PRINTABLE, commas, told="madctl_k8s_tolerations: [{}]"),
    Row("k8s_exclusive", "--exclusive", kinds.SWITCH, default=False, told="madctl_k8s_exclusive: true"),
    Row("k8s_priority_class", "--priority-class", kinds.PRINTABLE),
    Row("k8s_scheduler_name", "--scheduler-name", kinds.PRINTABLE),
    Row("k8s_queue", "--queue", kinds.PRINTABLE),
    Row("k8s_service_account", "--service-account", kinds.PRINTABLE),
    Row("k8s_run_as_user", "--run-as-user", kinds.whole(1, 2**31 - 1)),
    Row("k8s_host_network", "--host-network", kinds.SWITCH, default=False, told="madctl_k8s_host_network: true"),
    Row("k8s_volumes", "--volume", kinds.PRINTABLE, entries, told="madctl_k8s_volumes: [{}]"),
    Row("k8s_send_script", "--send-script", kinds.SWITCH, default=False, told="madctl_k8s_send_script: true"),
    Row("k8s_ttl", "--ttl", kinds.SECONDS),
    # About one host of an inventory.
    Row("slots", None, kinds.whole(1, kinds.MAX_SLOTS)),
    Row("node_rank", None, kinds.whole(0, 10**9)),
    # Between madctl and its playbooks.
    Row("python_required", None, kinds.SWITCH, default=False, is_internal=True),
    Row("chdir_required", None, kinds.SWITCH, default=False, is_internal=True),
    Row("proof", None, kinds.SWITCH, is_internal=True),
    Row("plan", None, kinds.DATA, is_internal=True),
    Row("bases", None, kinds.MAPPING, default={}, is_internal=True),
    Row("read_only", None, kinds.SWITCH, default=True, is_internal=True),
    Row("with_times", None, kinds.SWITCH, default=False, is_internal=True),
    Row("event_socket", None, kinds.TEXT, is_internal=True),
    Row("keep_ways", None, kinds.SWITCH, is_internal=True),
    Row("ssh_args", None, kinds.TEXT, is_internal=True),
)
BY_NAME: Dict[str, Row] = {row.name: row for row in TABLE}
# The first row of an option that several schedulers take.
BY_OPTION: Dict[str, Row] = {row.option: row for row in reversed(TABLE) if row.option}
# Options of sbatch with a value that have the same name.
OF_SLURM = tuple(row for row in TABLE if row.name.startswith("slurm_") and row.option and row.kind is kinds.PRINTABLE)
OF_HOSTS = (BY_NAME["slots"], BY_NAME["node_rank"])
# What a host may set for itself, where it wins over the value for all hosts.
OWN_OF_HOSTS = (BY_NAME["python"], BY_NAME["interface"], BY_NAME["env"])
# Options that belong in the inventory when a playbook is used.
OF_INVENTORY = {
    "--accept-new-host-keys": "ansible_ssh_common_args: -o StrictHostKeyChecking=accept-new",
    "--hostfile": "the inventory",
    "--hosts": "the inventory",
    "--port": "ansible_port",
    "--ssh-config": "ansible_ssh_common_args: -F {}",
    "--user": "ansible_user",
}
