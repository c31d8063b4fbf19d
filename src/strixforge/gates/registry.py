"""All gates, run one after the other over a staged wheelhouse; all findings are told at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from strixforge.gates import (
    architecture,
    dependencies,
    kernel_folders,
    licences,
    linkage,
    ours,
    prebuilt,
    record,
    symbols,
    tags,
)
from strixforge.gates.finding import Checked, Finding, printable
from strixforge.gates.staged import Staged
from strixforge.model.errors import GateError

GATES: Mapping[str, Callable[[Staged], Checked]] = {
    one.GATE: one.check
    for one in (
        record,
        tags,
        ours,
        dependencies,
        licences,
        prebuilt,
        architecture,
        kernel_folders,
        linkage,
        symbols,
    )
}
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Passed:
    """A staged wheelhouse that all gates let through."""

    looked_at: Mapping[str, Mapping[str, int]]
    """By gate, how many of what."""
    warnings: tuple[str, ...]

    def summary(self) -> str:
        """Return one line: `9 passed: record 12 wheels, 340 files; …`."""
        told = "; ".join(
            f"{gate} {', '.join(f'{number} {what}' for what, number in counts.items())}"
            for gate, counts in self.looked_at.items()
        )
        return f"{len(self.looked_at)} passed: {told}"


def run(staged: Staged) -> Passed:
    """Run all gates. Raises GateError with the findings of all of them."""
    checked = {name: check(staged) for name, check in GATES.items()}
    findings = [finding for one in checked.values() for finding in one.findings]
    if findings:
        raise _closed(findings)
    return Passed(
        {name: one.looked_at for name, one in checked.items()},
        tuple(warning for one in checked.values() for warning in one.warnings),
    )


def _closed(findings: list[Finding]) -> GateError:
    by_gate: dict[str, list[Finding]] = {}
    for finding in findings:
        by_gate.setdefault(finding.gate, []).append(finding)
    # Each gate's first before any gate's second: no gate hides another.
    turns = zip_longest(*by_gate.values())
    shown = [one for turn in turns for one in turn if one is not None][:_SHOWN]
    shown.sort(key=lambda one: list(by_gate).index(one.gate))
    lines = [printable(f"{one.gate}: {one.where}: {one.what}") for one in shown]
    if len(findings) > len(shown):
        counts = (f"{gate} {len(found)}" for gate, found in by_gate.items())
        lines.append(f"and {len(findings) - len(shown)} more; in all: {', '.join(counts)}")
    return GateError(
        f"the wheelhouse may not be made: {_count(len(findings), 'finding')} of "
        f"{_count(len(by_gate), 'gate')}.",
        where="\n".join(lines),
        fix="\n".join(_fixes(shown)),
    )


def _fixes(findings: Iterable[Finding]) -> Iterable[str]:
    """Return each fix once, with the gate that it is for."""
    return dict.fromkeys(f"{one.gate}: {one.fix}" for one in findings)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
