"""Every error a user can meet: one class each, with its own exit code.

A message says what happened, where, the likely cause, and what to type next.
docs/reference/errors.md lists the classes; a test keeps the two in step.
"""

import re
from typing import ClassVar

# What a file says is shown in errors; it must not steer the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class StrixforgeError(Exception):
    """Base of all errors that are shown to the user as one block, without a traceback."""

    exit_code: ClassVar[int] = 10
    title: ClassVar[str] = "Error"

    def __init__(self, what: str, *, where: str = "", cause: str = "", fix: str = "") -> None:
        """`what` and `fix` are sentences; `where` is a place: file and key, or a log."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        """Return the whole block, several lines, as shown on the terminal."""
        lines = [f"{self.title}: {self.what}"]
        for label, text in (("where", self.where), ("cause", self.cause), ("next", self.fix)):
            if text:
                first, *more = text.splitlines()
                lines.append(f"  {label + ':':<7}{first}")
                lines.extend(f"         {line}" for line in more)
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", "\n".join(lines))


class DataError(StrixforgeError):
    """A TOML file, lock, recipe, patch header or policy is not valid."""

    exit_code = 10
    title = "Not valid"


class UsageError(StrixforgeError):
    """A variable, stack, component or value on the command line is not known."""

    exit_code = 11
    title = "Unknown"


class PolicyError(StrixforgeError):
    """policy.toml refuses this combination."""

    exit_code = 12
    title = "Refused by policy"


class UnpinnedError(StrixforgeError):
    """Something would be built or fetched that has no exact pin."""

    exit_code = 13
    title = "Not pinned"


class FetchError(StrixforgeError):
    """A source could not be downloaded."""

    exit_code = 14
    title = "Not fetched"


class IntegrityError(StrixforgeError):
    """Bytes differ from the digest that they are known by."""

    exit_code = 15
    title = "Changed bytes"


class ArchiveError(StrixforgeError):
    """An archive is damaged, or would write outside its folder."""

    exit_code = 16
    title = "Unsafe archive"


class PatchError(StrixforgeError):
    """A patch does not apply, has no effect, or fits no longer."""

    exit_code = 17
    title = "Patch failed"


class SandboxError(StrixforgeError):
    """This machine cannot make the sandbox that builds need."""

    exit_code = 18
    title = "No sandbox"


class StepError(StrixforgeError):
    """A build step ended with an error."""

    exit_code = 19
    title = "Build failed"


class NetworkError(StrixforgeError):
    """A build step failed after it tried to use the network."""

    exit_code = 20
    title = "Build wanted the network"


class GateError(StrixforgeError):
    """An output lacks what its recipe promises, or holds what must not be there."""

    exit_code = 21
    title = "Gate closed"


class HostError(StrixforgeError):
    """The host lacks something: space, permission, a compiler."""

    exit_code = 22
    title = "Host"


class ToolError(StrixforgeError):
    """A tool over strixforge's own code is not content: its tests, ruff, mypy."""

    exit_code = 23
    title = "Not content"


class SourceError(StrixforgeError):
    """A prepared source lacks what its recipe needs in it, or holds what must not be there."""

    exit_code = 24
    title = "Wrong source"


class ConfigureError(StrixforgeError):
    """CMake ignored an option of the recipe, or made something else of it."""

    exit_code = 25
    title = "Wrongly configured"


class NotReproducibleError(StrixforgeError):
    """The same lock, built again in other circumstances, gave other bytes."""

    exit_code = 26
    title = "Not reproducible"


class DiscoveryError(StrixforgeError):
    """An index of releases cannot be reached, or is none."""

    exit_code = 27
    title = "No releases"


class QuarantinedError(StrixforgeError):
    """A night's candidate did not pass; what was promoted before stays as it was."""

    exit_code = 28
    title = "Quarantined"


class GpuError(StrixforgeError):
    """What was built does not run on the GPU, or the kernel told of a fault while it ran."""

    exit_code = 29
    title = "Fails on the GPU"


class InterruptedRunError(StrixforgeError):
    """The run was stopped by Ctrl-C or SIGTERM."""

    exit_code = 130
    title = "Stopped"


def class_of(exit_code: int) -> type[StrixforgeError] | None:
    """Return the class of errors with an exit code, or None where it is none of ours."""
    kinds = [one for one in globals().values() if isinstance(one, type)]
    known = [one for one in kinds if issubclass(one, StrixforgeError)]
    return next((one for one in reversed(known) if one.exit_code == exit_code), None)
