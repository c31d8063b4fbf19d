"""What a failed step is told: the command, the first errors of its log, and what to type next."""

import re
from pathlib import Path

from strixforge.forge.runner import Outcome
from strixforge.model.errors import NetworkError, StepError, StrixforgeError

_ERROR = re.compile(
    r"\berror\b[:\[ ]|^(?:\S+: )?fatal|^CMake Error|FAILED:|Traceback|No such file|undefined ref"
    r"|Killed|No space left|ModuleNotFoundError|command not found|^\w*Error: ",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"Network is unreachable|name resolution|[Cc]ould(?: not|n't) resolve host|Name or service not"
    r" known|nodename nor servname|Failed to establish a new connection|dns error",
)
_SHOWN = 6
_PREFIX = len("[   12.34] ")


def explain_failure(
    component: str, commands: list[str], outcome: Outcome, log: Path
) -> StrixforgeError:
    """Return the error of a step that ended badly, or because it wanted the network.

    `commands` are the texts of all steps, in order.
    """
    lines = [line[_PREFIX:] for line in log.read_text(errors="replace").splitlines()]
    number = max(outcome.step, 0)
    place = (
        f"{component}, step {number + 1} of {len(commands)}: {_brief(commands[number])}\nlog: {log}"
    )
    shell = f"./doit shell_{component}    (a shell in the sandbox, where it stopped)"
    if outcome.lookups or any(_NETWORK.search(line) for line in lines):
        hosts = ", ".join(dict.fromkeys(outcome.lookups)) or "not known; see the log"
        return NetworkError(
            f"a step of {component} failed after it tried to use the network.",
            where=f"{place}\nhost: {hosts}",
            cause="Builds see no network. What they download must be a pinned source instead.",
            fix=f"Pin it, or switch the download off in the recipe.\n{shell}",
        )
    return StepError(
        f"{component} failed with {_exit(outcome.code)}.",
        where="\n".join([place, *_first_errors(lines)]),
        cause=_cause(outcome.code),
        fix=shell,
    )


def _exit(code: int) -> str:
    if code > 128:
        return f"signal {code - 128}" + (" (killed)" if code == 137 else "")
    return f"exit code {code}"


def _cause(code: int) -> str:
    if code == 137:
        return "Most likely the machine ran out of memory; try jobs=1."
    return ""


def _first_errors(lines: list[str]) -> list[str]:
    """Return the first lines that look like errors, else the last lines."""
    found = [line.strip()[:200] for line in lines if _ERROR.search(line)][:_SHOWN]
    return found or [line[:200] for line in lines if line.strip()][-_SHOWN:]


def _brief(command: str) -> str:
    first, *more = command.strip().splitlines()
    return (first if len(first) <= 120 else first[:117] + "…") + (" …" if more else "")
