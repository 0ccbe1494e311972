"""Become another program, after a change that must be made by the process itself.

Run as `python -I -S launch.py CHANGE... -- PROGRAM ARGUMENT...`, it takes two changes:

- `user-namespace`: PostgreSQL refuses to run as root. In a user namespace of its own, root's process is an
  ordinary user to itself, while its files stay root's; nothing outside has to be chowned or opened up.
- `with-parent=PID`: get SIGTERM when the parent dies, also when it is killed and can tell nobody.

A small program instead of `preexec_fn`, which can deadlock in a process with threads. Imports only what a bare
interpreter has, to start in milliseconds.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
INSIDE_ID = 65534  # "nobody": what root calls itself inside the namespace


def enter_user_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INSIDE_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{INSIDE_ID} {gid} 1")


def follow_parent(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


def main(argv: list[str]) -> None:
    split = argv.index("--")
    for change in argv[:split]:
        name, _, value = change.partition("=")
        if name == "user-namespace":
            enter_user_namespace()
        elif name == "with-parent":
            follow_parent(int(value))
        else:
            sys.exit(f"unknown change: {change}")
    program = argv[split + 1 :]
    os.execvp(program[0], program)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
