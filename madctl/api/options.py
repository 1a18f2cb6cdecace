# SPDX-License-Identifier: Apache-2.0
"""
The keywords of the Python interface and their types.

Written by ``make docs`` from the options of the command line; change those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import Any, Literal, TypedDict

Word = str | int | float | PathLike[str]
Words = Word | Sequence[Word]
Time = str | int | float | timedelta
Path = str | PathLike[str]
Pairs = Mapping[str, Word | None] | Words


class LaunchOptions(TypedDict, total=False):
    """The options of ``madctl.launch``; None means not given."""

    accept_new_host_keys: bool | None
    account: Word | None
    additional_context: str | Mapping[str, Any] | None
    additional_context_file: Path | None
    allow_run_as_root: bool | None
    become_password_file: Path | None
    begin: Time | None
    chdir: Path | None
    command: bool | None
    constraint: Words | None
    context: Word | None
    cpu: Word | None
    dependency: Words | None
    detach: bool | None
    env: Pairs | None
    env_file: Path | None
    exclude: Words | None
    exclusive: bool | None
    force_mirror_local: Path | None
    gpu_resource: Word | None
    gpus: Literal["same", "min", "per-node"] | None
    gpus_per_node: Word | None
    gres: Words | None
    host: Words | None
    host_network: bool | None
    hostfile: Path | None
    hosts: Words | None
    idle_timeout: Time | None
    image: Word | None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None
    image_pull_secret: Words | None
    interface: Word | None
    inventory: Words | None
    kubeconfig: Path | None
    lab: Word | None
    limit: Word | None
    log_cap: Word | None
    login: Word | None
    login_shell: bool | None
    master_addr: Word | None
    master_port: Word | None
    max_restarts: Word | None
    memory: Word | None
    mpi_args: Words | None
    mpirun: Path | None
    name: Word | None
    namespace: Word | None
    nnodes: Word | None
    no_install: bool | None
    node_selector: Pairs | None
    nodelist: Words | None
    nodes: Word | None
    note: Word | None
    nproc_per_node: Word | None
    on: Literal["ssh", "slurm", "k8s"] | None
    partition: Word | None
    port: Word | None
    priority_class: Word | None
    python: Path | None
    qos: Word | None
    queue: Word | None
    rank: Words | None
    replace_containers: bool | Words | None
    requeue: bool | None
    reservation: Word | None
    resource: Pairs | None
    run_as_user: Word | None
    run_dir: Path | None
    run_root: Path | None
    runner: Literal["torchrun", "mpirun"] | None
    sbatch_args: Words | None
    scheduler_name: Word | None
    send_script: bool | None
    service_account: Word | None
    setup: Word | None
    shared_fstype: Words | None
    shared_path: Words | None
    shm_size: Word | None
    signal: Word | None
    skip: Words | None
    ssh_config: Path | None
    start_timeout: Time | None
    sync: Word | None
    tags: Words | None
    time: Time | None
    timeout: Time | None
    toleration: Pairs | None
    ttl: Time | None
    user: Word | None
    volume: Words | None


class CheckOptions(TypedDict, total=False):
    """The options of ``madctl.check``; None means not given."""

    accept_new_host_keys: bool | None
    account: Word | None
    additional_context: str | Mapping[str, Any] | None
    additional_context_file: Path | None
    allow_run_as_root: bool | None
    become_password_file: Path | None
    begin: Time | None
    chdir: Path | None
    command: bool | None
    constraint: Words | None
    context: Word | None
    cpu: Word | None
    dependency: Words | None
    env: Pairs | None
    env_file: Path | None
    exclude: Words | None
    exclusive: bool | None
    explain: Literal["network"] | None
    force_mirror_local: Path | None
    gpu_resource: Word | None
    gpus: Literal["same", "min", "per-node"] | None
    gpus_per_node: Word | None
    gres: Words | None
    host_network: bool | None
    hostfile: Path | None
    hosts: Words | None
    idle_timeout: Time | None
    image: Word | None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None
    image_pull_secret: Words | None
    interface: Word | None
    inventory: Words | None
    kubeconfig: Path | None
    lab: Word | None
    limit: Word | None
    log_cap: Word | None
    login: Word | None
    login_shell: bool | None
    master_addr: Word | None
    master_port: Word | None
    max_restarts: Word | None
    memory: Word | None
    mpi_args: Words | None
    mpirun: Path | None
    namespace: Word | None
    nnodes: Word | None
    no_install: bool | None
    node_selector: Pairs | None
    nodelist: Words | None
    nodes: Word | None
    nproc_per_node: Word | None
    on: Literal["ssh", "slurm", "k8s"] | None
    only: Words | None
    partition: Word | None
    port: Word | None
    priority_class: Word | None
    python: Path | None
    qos: Word | None
    queue: Word | None
    replace_containers: bool | Words | None
    requeue: bool | None
    reservation: Word | None
    resource: Pairs | None
    run_as_user: Word | None
    run_dir: Path | None
    run_root: Path | None
    runner: Literal["torchrun", "mpirun"] | None
    sbatch_args: Words | None
    scheduler_name: Word | None
    send_script: bool | None
    service_account: Word | None
    setup: Word | None
    shared_fstype: Words | None
    shared_path: Words | None
    shm_size: Word | None
    signal: Word | None
    skip: Words | None
    ssh_config: Path | None
    start_timeout: Time | None
    sync: Word | None
    tags: Words | None
    time: Time | None
    timeout: Time | None
    toleration: Pairs | None
    ttl: Time | None
    user: Word | None
    volume: Words | None
