"""One look at files: the report, and beside it an earlier version or another target."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from strixforge.audit import changes
from strixforge.audit.compare import Comparison, compare
from strixforge.audit.files import collect
from strixforge.audit.limits import Limits
from strixforge.audit.limits import findings as beyond
from strixforge.audit.parity import Parity, parity
from strixforge.audit.report import SCHEMA, Report, judge, table
from strixforge.audit.snapshot import Snapshot, snapshot, take


@dataclass(frozen=True, slots=True)
class Beside:
    """What is held beside the files."""

    old: Path | None = None
    """An earlier version: anything that can be looked at, or a record."""
    limits: Limits = field(default_factory=Limits)
    sibling: str = ""
    """Another target of the same files, such as gfx1100."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen."""

    report: Report
    taken: Snapshot
    comparison: Comparison | None
    parity: Parity | None
    findings: tuple[str, ...]
    """Why it does not pass, of all of these; empty where it does."""


def look(paths: Iterable[Path], arch: str, beside: Beside, allowed: Iterable[str] = ()) -> Look:
    """Look into files, folders and archives once. Raises RecordError for a record that is none.

    `allowed` are regular expressions of kernels that upstream leaves empty on purpose.
    """
    allowed = tuple(allowed)
    found = collect(paths, [arch, *([beside.sibling] if beside.sibling else [])])
    report, taken = judge(found, arch, allowed), snapshot(found, arch)
    said = list(report.findings)
    compared = held = None
    if beside.old is not None:
        compared = compare(take(beside.old, arch), taken)
        said += beyond(compared, beside.limits)
    if beside.sibling:
        held = parity(taken, snapshot(found, beside.sibling), allowed)
        said += held.findings()
    return Look(report, taken, compared, held, tuple(said))


def lines(seen: Look) -> list[str]:
    """Return all of it as lines for a person, without the findings."""
    said = table(seen.report)
    if seen.comparison is not None:
        said += ["", *changes.lines(seen.comparison)]
    if (held := seen.parity) is not None:
        ours = f"for {held.arch}, {len(held.hollow)} are hollow, {len(held.missing)} missing"
        said += ["", f"{held.compared} kernels work for {held.sibling}: {ours}"]
    return said


def document(seen: Look) -> dict[str, Any]:
    """Return all of it as JSON has it: docs/reference/audit.md."""
    told: dict[str, Any] = {
        **msgspec.to_builtins(seen.report),
        "schema": SCHEMA,
        "passed": not seen.findings,
        "findings": list(seen.findings),
    }
    if seen.comparison is not None:
        told["comparison"] = changes.document(seen.comparison)
    if seen.parity is not None:
        told["parity"] = msgspec.to_builtins(seen.parity)
    return told
