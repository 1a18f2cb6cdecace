# SPDX-License-Identifier: Apache-2.0
"""
Disposable hosts on one Linux machine: kernel namespaces that look like a small GPU cluster.

    spec    its parts: names, addresses, files (pure)
    state   where it is recorded and how its parts are found
    mounts  the machine's directories in hosts
    network its addresses, its switch, its link to this machine
    power   up, down, power off: the only part that starts and ends processes
    host    the program that is PID 1 inside each host
"""
