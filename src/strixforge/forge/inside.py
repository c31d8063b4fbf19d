"""The first process of a sandbox: runs the steps, and writes down what they look up.

It runs under the stack's Python without strixforge's packages, so it uses the standard library
alone. Usage: inside.py EVENTS_FD [pivoted]: the root was changed by pivot_root, and the old one is
still at /.old; steps then run as a user of a namespace of their own.
/strixforge/plan.json holds {"cwd": folder, "steps": [argv...], "names": [text...], "interactive":
bool}; an interactive plan ends in a shell that owns the terminal.

A resolver on the loopback address answers every question with "refused" at once and reports the
name: that is how a step that wants the network is told which host it wanted. Events, one JSON
object a line: {"step": n}, {"lookup": name}, {"end": exit code}.

When the reader of the events is gone, this process ends, and the kernel ends all others with it.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

HOST_NAME = "strixforge"
UID = 1000
"""The user that steps run as, whoever started them."""
PIVOTED = "pivoted"
MARK = "\x1e"
"""Stands before a header, which begins a line even where the step before ended without one."""
_lookups_lock = threading.Lock()
_lookups: set[str] = set()
"""Names that the running step has asked for."""


def header(number: int, total: int, name: str) -> str:
    """Return the line of the log that stands above a step's output; `number` counts from 0."""
    first, *more = name.strip().splitlines() or [""]
    return f"== step {number + 1} of {total}: {first}{' …' if more else ''}"


def leave_old_root() -> None:
    """Take the old root out of sight, and make the new one read-only."""
    detach = 2  # sys/mount.h: MNT_DETACH
    read_only, remount, bind = 1, 32, 4096  # MS_RDONLY, MS_REMOUNT, MS_BIND
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(b"/.old", detach):
        raise OSError(ctypes.get_errno(), "the old root cannot be unmounted")
    Path("/.old").rmdir()
    # The flags of a tmpfs made here are ours, so its read-only remount needs no others.
    if libc.mount(b"tmpfs", b"/", None, remount | read_only, b"mode=755") and libc.mount(
        None, b"/", None, remount | bind | read_only, None
    ):
        raise OSError(ctypes.get_errno(), "the root cannot be made read-only")


def become_user(uid: int) -> None:
    """Make this process a user without privileges, in a user namespace of its own."""
    new_user = 0x10000000  # linux/sched.h: CLONE_NEWUSER
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(new_user):
        raise OSError(ctypes.get_errno(), "no user namespace can be made for the step")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    for kind in ("uid", "gid"):
        Path(f"/proc/self/{kind}_map").write_text(f"{uid} 0 1", encoding="ascii")
    pr_capbset_drop = 24  # linux/prctl.h; past the last capability it fails, and does nothing
    for capability in range(64):
        libc.prctl(pr_capbset_drop, capability, 0, 0, 0)


def name_host() -> None:
    """Set the host's name; bubblewrap has done it already, and lets nobody else."""
    with contextlib.suppress(PermissionError):
        socket.sethostname(HOST_NAME)


def loopback_up() -> None:
    """Set the interface lo up; bubblewrap has done it already, unshare has not."""
    request = 0x8914  # SIOCSIFFLAGS, linux/sockios.h
    flags = 0x1 | 0x40  # IFF_UP | IFF_RUNNING, linux/if.h
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle,
        contextlib.suppress(PermissionError),
    ):
        fcntl.ioctl(handle, request, struct.pack("16sH14x", b"lo", flags))


def question(packet: bytes) -> str:
    """Return the name that a DNS query asks for, or an empty text."""
    labels, at = [], 12
    while at < len(packet) and packet[at]:
        length = packet[at]
        labels.append(packet[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels)


def refuse_lookups(events: int) -> None:
    """Answer all DNS queries on 127.0.0.1 with REFUSED; report each name once a step."""
    handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        handle.bind(("127.0.0.1", 53))
    except OSError:
        return  # an AppArmor profile may forbid it; names are then unknown, the network still cut

    def serve() -> None:
        while True:
            packet, sender = handle.recvfrom(4096)
            if len(packet) < 12:
                continue
            name = question(packet)
            with _lookups_lock:
                if name not in _lookups:
                    _lookups.add(name)
                    report(events, {"lookup": name})
            # Same id and question, flags: response, recursion, rcode 5 (RFC 1035, 4.1.1).
            reply = packet[:2] + b"\x81\x85" + packet[4:6] + b"\0\0\0\0\0\0" + packet[12:]
            with contextlib.suppress(OSError):
                handle.sendto(reply, sender)

    threading.Thread(target=serve, daemon=True).start()


def end_with_reader(events: int) -> None:
    """End this process, and so the sandbox, when nobody reads the events any more.

    The kernel's parent-death signal does the same, unless the parent dies before it is asked for.
    """
    poll = select.poll()
    poll.register(events, 0)  # POLLERR is always told

    def watch() -> None:
        poll.poll()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def drop_privileges() -> None:
    """Give up the ambient capabilities that binding port 53 needed, and all ways to new ones."""
    pr_cap_ambient, clear_all, pr_set_no_new_privs = 47, 4, 38  # linux/prctl.h
    prctl = ctypes.CDLL(None).prctl
    prctl(pr_cap_ambient, clear_all, 0, 0, 0)
    prctl(pr_set_no_new_privs, 1, 0, 0, 0)


def report(events: int, event: dict[str, object]) -> None:
    """Write one event for the runner outside; a full pipe or a reader that went away is no fault.

    end_with_reader sees to the latter.
    """
    with contextlib.suppress(OSError):
        os.write(events, (json.dumps(event) + "\n").encode())


def call(step: list[str], *, stdin: int | None, terminal: bool) -> int:
    """Run one step to its end and return its exit code, negative after a signal.

    As first process of a namespace this one is also handed orphans, and lets them go.
    """
    child = subprocess.Popen(
        step,
        stdin=stdin,
        start_new_session=terminal,
        preexec_fn=_take_terminal if terminal else None,  # noqa: PLW1509 - it makes one ioctl
    )
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode


def _take_terminal() -> None:
    """Make standard input the terminal of this session, so that Ctrl-C and job control work."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def main(arguments: list[str]) -> int:
    """Run the steps of the plan; return the exit code of the last one run."""
    if arguments[0] == "step":
        become_user(int(arguments[1]))
        os.execvp(arguments[2], arguments[2:])  # noqa: S606 - the step is the next argument
    events, pivoted = int(arguments[0]), arguments[1:] == [PIVOTED]
    if pivoted:
        leave_old_root()
    drop = [sys.executable, "-I", "-S", __file__, "step", str(UID)] if pivoted else []
    plan = json.loads(Path("/strixforge/plan.json").read_text(encoding="utf-8"))
    os.umask(0o022)
    os.chdir(plan["cwd"])
    os.environ["PWD"] = plan["cwd"]
    end_with_reader(events)
    name_host()
    loopback_up()
    refuse_lookups(events)
    drop_privileges()
    steps, code = plan["steps"], 0
    for number, step in enumerate(steps):
        with _lookups_lock:
            _lookups.clear()
            report(events, {"step": number})
        terminal = plan["interactive"] and number == len(steps) - 1
        if not plan["interactive"]:
            print(MARK + header(number, len(steps), plan["names"][number]), flush=True)
        stdin = None if terminal else subprocess.DEVNULL
        code = call([*drop, *step], stdin=stdin, terminal=terminal)
        if code:
            break
    report(events, {"end": code})
    return code if 0 <= code < 256 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
