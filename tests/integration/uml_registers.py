# SPDX-License-Identifier: Apache-2.0
"""
Execute a User Mode Linux with the registers that it knows, on CPUs that have more.

Its kernel (6.1) keeps the extended registers of a process in a buffer of 2696 bytes; those of a CPU with AMX do not
fit, and it panics while it boots. Here ptrace refuses that set of registers, as on a CPU that has none of them, and the
kernel takes the older, smaller set. What AVX keeps in registers is then lost at every page fault, so programs in there
are told not to use it; those that ask the CPU themselves, as torch does, do not run.
"""

import ctypes
import errno
import os
import struct
import sys

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # of classic BPF
_SYSCALL, _ARCHITECTURE, _REQUEST, _KIND = 0, 4, 16, 32  # offsets in struct seccomp_data; ptrace(REQUEST, pid, KIND, …)
_X86_64, _PTRACE, _GETREGSET, _SETREGSET, _XSTATE = 0xC000003E, 101, 0x4204, 0x4205, 0x202
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
# What tells the C library and OpenSSL to leave AVX alone.
ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-XSAVEC,-XSAVE",
    "OPENSSL_ia32cap": "~0x1000000000000000:0",
}
# (operation, how far to jump if true, if false, operand); the last line but one allows, the last refuses.
_PROGRAM = (
    (_LOAD, 0, 0, _ARCHITECTURE),
    (_EQUAL, 0, 7, _X86_64),
    (_LOAD, 0, 0, _SYSCALL),
    (_EQUAL, 0, 5, _PTRACE),
    (_LOAD, 0, 0, _REQUEST),
    (_EQUAL, 1, 0, _GETREGSET),
    (_EQUAL, 0, 2, _SETREGSET),
    (_LOAD, 0, 0, _KIND),
    (_EQUAL, 1, 0, _XSTATE),
    (_RETURN, 0, 0, _ALLOW),
    (_RETURN, 0, 0, _ERRNO | errno.EIO),
)


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_void_p)]


def needed():
    """Return whether this machine's CPU has more registers than User Mode Linux has room for."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return any("amx_tile" in line for line in lines)


def main():
    """Refuse, and become the words of the command line."""
    instructions = (struct.pack("HBBI", *instruction) for instruction in _PROGRAM)
    program = ctypes.create_string_buffer(b"".join(instructions))
    wanted = _Filter(len(_PROGRAM), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(wanted), 0, 0):
        sys.exit("seccomp: %s" % os.strerror(ctypes.get_errno()))
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
