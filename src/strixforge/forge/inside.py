"""The first process of a sandbox: runs the steps, and writes down what they look up.

It runs under the stack's Python without strixforge's packages, so it uses the standard library
alone. Usage: inside.py EVENTS_FD [DROP...]: DROP is the command that gives up the namespace's root.
The steps are in /strixforge/plan.json: {"cwd": folder, "steps": [argv...], "interactive": bool}.

A resolver on the loopback address answers every question with "refused" at once and reports the
name: that is how a step that wants the network is told which host it wanted. Events, one JSON
object a line: {"step": n}, {"lookup": name}, {"end": exit code}.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path


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
    """Answer all DNS queries on 127.0.0.1 with REFUSED, and report each name once."""
    handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        handle.bind(("127.0.0.1", 53))
    except PermissionError:
        return  # an AppArmor profile may forbid it; names are then unknown, the network still cut
    seen: set[str] = set()

    def serve() -> None:
        while True:
            packet, sender = handle.recvfrom(4096)
            if len(packet) < 12:
                continue
            name = question(packet)
            if name not in seen:
                seen.add(name)
                report(events, {"lookup": name})
            # Same id and question, flags: response, recursion, rcode 5 (RFC 1035, 4.1.1).
            reply = packet[:2] + b"\x81\x85" + packet[4:6] + b"\0\0\0\0\0\0" + packet[12:]
            with contextlib.suppress(OSError):
                handle.sendto(reply, sender)

    threading.Thread(target=serve, daemon=True).start()


def drop_capabilities() -> None:
    """Give up the ambient capabilities that binding port 53 needed."""
    prctl_cap_ambient, clear_all = 47, 4  # linux/prctl.h
    ctypes.CDLL(None).prctl(prctl_cap_ambient, clear_all, 0, 0, 0)


def report(events: int, event: dict[str, object]) -> None:
    """Write one event for the runner outside."""
    os.write(events, (json.dumps(event) + "\n").encode())


def main(arguments: list[str]) -> int:
    """Run the steps of the plan; return the exit code of the last one run."""
    events, drop = int(arguments[0]), arguments[1:]
    plan = json.loads(Path("/strixforge/plan.json").read_text(encoding="utf-8"))
    os.umask(0o022)
    os.chdir(plan["cwd"])
    loopback_up()
    refuse_lookups(events)
    drop_capabilities()
    stdin = None if plan["interactive"] else subprocess.DEVNULL
    for number, step in enumerate(plan["steps"]):
        report(events, {"step": number})
        code = subprocess.call([*drop, *step], stdin=stdin)
        if code:
            break
    else:
        code = 0
    report(events, {"end": code})
    return code if 0 <= code < 256 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
