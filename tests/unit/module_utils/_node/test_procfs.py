# SPDX-License-Identifier: Apache-2.0
"""What /proc tells of this process, and that a lack of descriptors never looks like an empty /proc."""

import os
import resource
import socket

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import procfs


def test_a_lack_of_descriptors_is_an_error_and_a_missing_process_is_not():
    assert procfs.read("/proc/0/environ") == b""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            procfs.read(f"/proc/{os.getpid()}/environ")
        with pytest.raises(OSError, match="Too many open files"):
            procfs.numbered()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_belongs_to_the_process_that_has_its_socket_open():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = [one for one in procfs.connections() if one.state == procfs.LISTEN and one.own.endswith(f":{port:04X}")]

        assert len(found) == 1
        assert found[0].inode in set(procfs.sockets(os.getpid()))
    assert found[0].inode not in set(procfs.sockets(os.getpid()))


def test_only_entries_that_are_numbers_are_processes(tmp_path):
    for name in ("10", "9", "self", "1x"):
        (tmp_path / name).mkdir()

    assert procfs.numbered(str(tmp_path)) == [9, 10]
    assert procfs.numbered(str(tmp_path / "none")) == []


def test_fields_begin_after_a_name_with_any_characters(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a) S (b) D 3 7")

    assert procfs.fields(7, str(tmp_path)) == ["D", "3", "7"]
    assert procfs.fields(8, str(tmp_path)) == []
