# SPDX-License-Identifier: Apache-2.0
"""
Disposable hosts on one Linux machine: kernel namespaces that look like a small GPU cluster.

    spec    its parts: names, addresses, files (pure)
    state   its record, and how to find its parts
    mounts  directories of the machine in hosts
    network its addresses, its switch, its link to this machine
    power   up, down, power off: the only part that starts and ends processes
    host    the program that is PID 1 inside each host
"""
