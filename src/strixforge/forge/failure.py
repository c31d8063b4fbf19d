"""What a failed step is told: the command, the first errors of its log, and what to type next."""

import re
import shutil
import signal
from pathlib import Path

from strixforge.forge.inside import header
from strixforge.forge.runner import Outcome
from strixforge.model.errors import (
    HostError,
    NetworkError,
    SandboxError,
    StepError,
    StrixforgeError,
)

_ERROR = re.compile(
    r"\berror\b[:\[ ]|^(?:\S+: )?fatal|^CMake Error|FAILED:|No such file|undefined ref"
    r"|Killed|No space left|command not found|^[\w.]*(?:Error|Exception): ",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"Network is unreachable|name resolution|[Cc]ould(?: not|n't) resolve host|Name or service not"
    r" known|nodename nor servname|Failed to establish a new connection|dns error"
    r"|[Ff]ailed to connect to |Couldn't connect to server",
)
# pip and uv are told to use no index; they say so in these words.
_PACKAGE = re.compile(
    r"No matching distribution found for (?P<pip>\S+)"
    r"|Because (?P<uv>\S+) was not found in the provided package locations"
)
# Where a line of the log, or the step itself, names a host.
_HOST = re.compile(
    r"[Ff]ailed to connect to (?P<curl>[\w.:\[\]-]+?) port"
    r"|resolve host:? '?(?P<resolved>[\w.-]+)"
    r"|\bhost='(?P<pool>[^']+)'"
    r"|\b[a-z][a-z+]*://(?:[^/\s@'\"]*@)?(?P<url>\[[0-9a-f:]+\]|[\w.-]+)"
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_SHOWN = 6
_PREFIX = re.compile(r"^\[ *\d+\.\d\d\] ")


def explain_failure(
    component: str, commands: list[str], outcome: Outcome, log: Path, *, work: Path, shell: str
) -> StrixforgeError:
    """Return the error of a step that ended badly, or because it wanted the network or space.

    `commands` are the texts of all steps, in order; `work` is the folder that they write to;
    `shell` is the command that opens a shell there.
    """
    lines = [_PREFIX.sub("", line) for line in log.read_text(errors="replace").splitlines()]
    if outcome.step < 0:
        return SandboxError(
            f"the sandbox of {component} could not be made; no step was begun.",
            where="\n".join([f"log: {log}", *lines[-_SHOWN:]]),
            cause=f"Its first process ended with {_exit(outcome.code)}.",
            fix="./doit sandbox=unshare … or sandbox=bwrap … uses the other kind.",
        )
    number = outcome.step
    lines = _of_step(lines, number, commands)
    place = (
        f"{component}, step {number + 1} of {len(commands)}: {_brief(commands[number])}\nlog: {log}"
    )
    where = "\n".join([place, *_first_errors(lines)])
    shell = f"{shell}    (a shell in the sandbox, where it stopped)"
    if any(_FULL.search(line) for line in lines):
        return _full(component, where, work)
    missing = [found["pip"] or found["uv"] for line in lines if (found := _PACKAGE.search(line))]
    network = [line for line in lines if _NETWORK.search(line)]
    if outcome.lookups or network or missing:
        hosts = outcome.lookups or _hosts(network) or _hosts([commands[number]])
        known = ", ".join(dict.fromkeys(hosts)) or "not known; see the log"
        fix = "Pin it, or switch the download off in the recipe."
        if missing:
            fix = f"Add {missing[0]} to build.python of the recipe, then ./doit lock"
        return NetworkError(
            f"a step of {component} failed after it tried to use the network.",
            where=f"{where}\nhost: {known}",
            cause="Builds see no network. What they download must be a pinned source instead.",
            fix=f"{fix}\n{shell}",
        )
    return StepError(
        f"{component} failed with {_exit(outcome.code)}.",
        where=where,
        cause=_cause(outcome),
        fix=shell,
    )


def _full(component: str, where: str, work: Path) -> HostError:
    free = shutil.disk_usage(work).free
    return HostError(
        f"the disk was full while {component} was built.",
        where=f"{where}\n{work}: {free / 1e6:.0f} MB are free",
        cause="The sandbox's /tmp lies in memory; where build/ has space, that one was full."
        if free > 1e9
        else "Nothing half written was kept.",
        fix="Free space, then give the same command again; finished components are kept.",
    )


def _of_step(lines: list[str], number: int, commands: list[str]) -> list[str]:
    """Return what the step itself wrote."""
    above = header(number, len(commands), commands[number])
    starts = [at for at, line in enumerate(lines) if line == above.rstrip()]
    return lines[starts[-1] + 1 :] if starts else lines


def _hosts(lines: list[str]) -> list[str]:
    found = [match for line in lines for match in _HOST.finditer(line)]
    return [name for match in found for name in match.groups() if name]


def _exit(code: int) -> str:
    if code > 128:
        try:
            name = signal.Signals(code - 128).name
        except ValueError:
            return f"exit code {code}"
        return f"signal {code - 128}, {name}" + (" (killed)" if code == 137 else "")
    return f"exit code {code}"


def _cause(outcome: Outcome) -> str:
    if outcome.code == 137:
        return "Most likely the machine ran out of memory; try jobs=1."
    if outcome.earlier_lookups:
        hosts = ", ".join(dict.fromkeys(outcome.earlier_lookups))
        return f"Perhaps that an earlier step asked the network, which builds do not see: {hosts}"
    return ""


def _goes_on(line: str) -> bool:
    """Say whether a line belongs to the error above it; a traceback's end says more than it."""
    return not line.strip() or (line.startswith("  ") and "Traceback" not in line)


def _first_errors(lines: list[str]) -> list[str]:
    """Return the first lines that look like errors, else the last lines."""
    found: list[str] = []
    told = False  # CMake and others write the reason below, indented
    for line in lines:
        is_error = bool(_ERROR.search(line))
        told = is_error or (told and _goes_on(line))
        if told and line.strip():
            found.append(line.rstrip()[:200] if not is_error else line.strip()[:200])
    found = found[:_SHOWN]
    return found or [line[:200] for line in lines if line.strip()][-_SHOWN:]


def _brief(command: str) -> str:
    first, *more = command.strip().splitlines()
    return (first if len(first) <= 120 else first[:117] + "…") + (" …" if more else "")
