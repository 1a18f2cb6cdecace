# SPDX-License-Identifier: Apache-2.0
"""
Disposable hosts on one Linux machine: kernel namespaces that look like a small GPU cluster.

    spec    what a lab is made of: names, addresses, files (pure)
    state   where a lab is recorded and how it is found again
    power   up, down, power off: the only part that starts and ends processes
    host    the program that is PID 1 inside each host
"""
