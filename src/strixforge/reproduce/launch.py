"""Starts a command in other circumstances than this process has, or says which they are.

It runs by itself, without strixforge's packages, so it uses the standard library alone.
Usage: launch.py SPEC COMMAND…, where SPEC is JSON: {"parent": pid, "namespace": bool, "user": uid,
"host": name, "umask": number, "cores": [numbers], "folder": path, "environment": {…}}.
launch.py describe: writes the circumstances of this process as JSON.

Another user and host name need no root rights: both are of namespaces of their own. Inside, the
process is that user, has no privilege, and owns what the user outside owns.
"""

import contextlib
import ctypes
import json
import locale
import os
import signal
import socket
import sys
import time
from pathlib import Path


def describe() -> dict[str, str]:
    """Return the circumstances of this process, in words."""
    mask = os.umask(0)
    os.umask(mask)
    wanted = next((os.environ[n] for n in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(n)), "C")
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error:
        wanted += ", which is not installed"
    return {
        "user": str(os.getuid()),
        "host name": socket.gethostname(),
        "umask": f"{mask:03o}",
        "locale": wanted,
        "time zone": time.strftime("%z"),
        "cores": str(len(os.sched_getaffinity(0))),
        "home": os.environ.get("HOME", ""),
    }


def become(user: int, host: str) -> None:
    """Be another user on a host of another name. Raises OSError where the kernel does not let."""
    new_user, new_name = 0x10000000, 0x04000000  # linux/sched.h: CLONE_NEWUSER, CLONE_NEWUTS
    ids = {"uid": os.getuid(), "gid": os.getgid()}
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(new_user | new_name):
        raise OSError(ctypes.get_errno(), "no user namespace can be made")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    for kind, number in ids.items():
        Path(f"/proc/self/{kind}_map").write_text(f"{user} {number} 1", encoding="ascii")
    socket.sethostname(host)


def end_with(parent: int) -> None:
    """Let the kernel end this process when its parent ends."""
    pr_set_pdeathsig = 1  # linux/prctl.h
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent has ended")


def main(arguments: list[str]) -> None:
    """Become what the first argument says, and run the others."""
    if arguments == ["describe"]:
        print(json.dumps(describe()))
        return
    spec = json.loads(arguments[0])
    if spec["namespace"]:
        try:
            become(spec["user"], spec["host"])
        except OSError as error:
            sys.exit(f"{error.strerror}: {os.strerror(error.errno or 0)}")
    os.umask(spec["umask"])
    with contextlib.suppress(OSError):  # a container may hold its processors fast
        os.sched_setaffinity(0, spec["cores"])
    os.chdir(spec["folder"])
    end_with(spec["parent"])
    os.execvpe(arguments[1], arguments[1:], spec["environment"])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
