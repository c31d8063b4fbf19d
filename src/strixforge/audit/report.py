"""What an audit says of files: one row for each, and a verdict on all, for one target."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from strixforge.audit.files import File, Files, collect
from strixforge.audit.hollow import hollow_findings
from strixforge.audit.kernels import Kernel
from strixforge.audit.occupancy import waves
from strixforge.audit.targets import base, covers

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One file with device code, or a file that could not be read."""

    file: str
    """Path, then `!` and the member of each archive around it."""
    targets: dict[str, int]
    """Code objects by target."""
    kernels: int
    """Of the wanted target; so are all that follow."""
    hollow: int
    spilling: int
    """Kernels that spill vector registers in their own body."""
    scratch: int
    """Kernels that use private memory, spills of what they call included."""
    most_vgprs: int
    fewest_waves: int | None
    """Of any kernel, on a SIMD, as far as registers decide; None where that is not known."""
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that an audit found below some paths."""

    arch: str
    rows: tuple[Row, ...]
    others: dict[str, int]
    """Files without device code, by what they are."""
    findings: tuple[str, ...]
    """Why it does not pass; empty where it does."""

    @property
    def kernels(self) -> int:
        """Return how many kernels of the wanted target there are."""
        return sum(row.kernels for row in self.rows)


def audit(paths: Iterable[Path], arch: str, allowed: Iterable[str] = ()) -> Report:
    """Look into files, folders and archives, and judge them for a target such as gfx1151.

    It passes when there is a kernel for the target, nothing that looks like device code is
    unreadable, no library with code for several targets lacks this one, and no kernel is hollow.
    Files for one other target alone are no fault: releases lay one beside the other.
    `allowed` are regular expressions of kernels that upstream leaves empty on purpose.
    """
    return judge(collect(paths, [arch]), arch, allowed)


def judge(found: Files, arch: str, allowed: Iterable[str] = ()) -> Report:
    """Return the report on what was read; the kernels of `arch` must have been kept."""
    rows = tuple(_row(name, file, arch) for name, file in found.files.items())
    findings = list(_findings(found.files, arch, tuple(allowed)))
    if not any(row.kernels for row in rows):
        findings.append(f"There is no kernel for {arch}.")
    return Report(arch, rows, found.others, tuple(findings))


def _findings(files: dict[str, File], arch: str, allowed: tuple[str, ...]) -> Iterator[str]:
    for name, file in files.items():
        yield from (f"{one.where} cannot be read: {one.reason}." for one in file.unreadable)
        targets = {base(one.target) for one in file.objects}
        if len(targets) > 1 and not any(covers(one.target, arch) for one in file.objects):
            yield f"{name} has code for {', '.join(sorted(targets))}, and none for {arch}."
        yield from hollow_findings(file.objects, arch, allowed)


def _row(name: str, file: File, arch: str) -> Row:
    mine = [one for one in file.objects if covers(one.target, arch)]
    kernels: list[Kernel] = [kernel for one in mine for kernel in one.kernels]
    fit = [waves(kernel, arch) for kernel in kernels]
    return Row(
        file=name,
        targets=dict(sorted(Counter(one.target for one in file.objects).items())),
        kernels=len(kernels),
        hollow=sum(one.is_hollow for one in kernels),
        spilling=sum(one.vgpr_spills > 0 for one in kernels),
        scratch=sum(one.scratch > 0 for one in kernels),
        most_vgprs=max((one.vgprs for one in kernels), default=0),
        fewest_waves=min((one for one in fit if one is not None), default=None),
        unreadable=tuple(one.reason for one in file.unreadable),
    )


def _common(files: list[str]) -> str:
    """Return what all names begin with, up to a folder or an archive."""
    common = os.path.commonprefix(files) if len(files) > 1 else ""  # noqa: RUF071 - cut below
    return common[: max(common.rfind("/"), common.rfind("!")) + 1]


def table(report: Report, most: int = 60) -> list[str]:
    """Return the report as lines for a person: files of the target first, then the rest counted."""
    rows = [row for row in report.rows if row.kernels]
    rest = [row for row in report.rows if not row.kernels]
    below = _common([row.file for row in report.rows])
    lines = [f"below {below}"] if below else []
    cells: list[tuple[str, ...]] = [
        ("kernels", "hollow", "spilling", "scratch", "VGPRs", "waves", "file")
    ]
    cells += [
        (
            *(str(n) for n in (row.kernels, row.hollow, row.spilling, row.scratch)),
            str(row.most_vgprs),
            "?" if row.fewest_waves is None else str(row.fewest_waves),
            row.file.removeprefix(below),
        )
        for row in rows[:most]
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]) - 1)]
    if rows:
        for row in cells:
            head = "  ".join(c.rjust(w) for c, w in zip(row[:-1], widths, strict=True))
            lines.append(f"{head}  {row[-1]}")
    if len(rows) > most:
        lines.append(f"and {len(rows) - most} more files with kernels for {report.arch}")
    if rest:
        foreign = Counter(target for row in rest for target in row.targets)
        said = ", ".join(f"{target} in {number}" for target, number in foreign.most_common())
        lines.append(f"{len(rest)} files have none for {report.arch}: {said or 'unreadable'}")
    if report.others:
        said = ", ".join(f"{number} {kind}" for kind, number in report.others.items())
        lines.append(f"without device code: {said}")
    return lines
