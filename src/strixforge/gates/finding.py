"""What a gate gives back: its findings, and how much it looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason why a staged wheelhouse may not become one."""

    gate: str
    where: str
    """The file: `wheels/a-1-py3-none-any.whl`, or that and the file in it, after `: `."""
    what: str
    """What was found there, as the rest of a sentence."""
    fix: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What one gate came to."""

    looked_at: Mapping[str, int]
    """How many of what it looked at: a gate that saw nothing shows as zeros."""
    findings: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def printable(text: str) -> str:
    """Escape what a terminal would heed: names come from the input."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
