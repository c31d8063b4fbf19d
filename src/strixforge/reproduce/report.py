"""What a second build gave, as data, as JSON and in words."""

import datetime as dt
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from strixforge.model.unreproducible import Unreproducible
from strixforge.reproduce.circumstances import NOT_VARIED, Circumstance
from strixforge.reproduce.differences import Difference

SCHEMA = 1
WIDTH = 58
"""Characters that a terminal of 80 has left beside a label."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one component."""

    name: str
    first: str
    """Digest of the output in the store."""
    second: str
    """Digest of what was built elsewhere."""
    differs_after: tuple[str, ...] = ()
    """Needed components that differ themselves: this one was built with others."""
    differences: tuple[Difference, ...] = ()

    @property
    def identical(self) -> bool:
        """Say whether every byte is the same."""
        return self.first == self.second

    @property
    def accepted(self) -> bool:
        """Say whether it is identical, or may be different in all that is."""
        return self.identical or (
            bool(self.differences) and all(one.excepted for one in self.differences)
        )


class Report(msgspec.Struct, frozen=True):
    """All of it."""

    stack: str
    arch: str
    circumstances: tuple[Circumstance, ...]
    components: tuple[Outcome, ...]
    wheelhouse: tuple[str, ...] | None
    """Files of the wheelhouse that differ and do not follow from the above; None: not compared."""
    follows: tuple[str, ...] = ()
    """Files of it that differ because a component does."""
    useless: tuple[str, ...] = ()
    """What policy.toml excepts and did not differ."""

    @property
    def reproducible(self) -> bool:
        """Say whether everything is the same but for what may differ."""
        return all(one.accepted for one in self.components) and not self.wheelhouse


def judge(
    component: str, found: Iterable[Difference], known: Iterable[Unreproducible], today: dt.date
) -> tuple[Difference, ...]:
    """Return the differences, those that are known and may be with the reason."""
    rules = list(known)
    judged = []
    for one in found:
        covering = [rule for rule in rules if rule.covers(component, one.path)]
        valid = [rule for rule in covering if not rule.expired(today)]
        if valid:
            one = msgspec.structs.replace(one, excepted=_reason(valid[0]))  # noqa: PLW2901
        elif covering:
            one = msgspec.structs.replace(one, expired=_reason(covering[0]))  # noqa: PLW2901
        judged.append(one)
    return tuple(judged)


def _reason(rule: Unreproducible) -> str:
    return f"{rule.reason} (until {rule.expires})"


def useless(known: Iterable[Unreproducible], outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """Return those patterns of files that no difference of a component that was built fits."""
    found = []
    by_name = {one.name: one for one in outcomes}
    for rule in known:
        if rule.component not in by_name:
            continue
        paths = [one.path for one in by_name[rule.component].differences]
        for pattern in rule.files:
            alone = msgspec.structs.replace(rule, files=(pattern,))
            if not any(alone.covers(rule.component, path) for path in paths):
                found.append(f"{rule.component}: {pattern}")
    return tuple(found)


def document(report: Report) -> dict[str, Any]:
    """Return the JSON document; docs/how-to/reproduce.md has its keys."""
    table: dict[str, Any] = msgspec.to_builtins(report)
    for raw, one in zip(table["circumstances"], report.circumstances, strict=True):
        raw["varied"] = one.varied
    for raw, outcome in zip(table["components"], report.components, strict=True):
        raw["verdict"] = verdict(outcome)
    head = {"schema": SCHEMA, "reproducible": report.reproducible, "not_varied": list(NOT_VARIED)}
    return head | table


def write(report: Report, place: Path) -> None:
    """Write the document; the same outcome gives the same bytes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    staged = place.with_suffix(".new")
    staged.write_text(json.dumps(document(report), indent=1) + "\n", encoding="utf-8")
    staged.replace(place)


def verdict(outcome: Outcome) -> str:
    """Return one word: identical, excepted or differs."""
    if outcome.identical:
        return "identical"
    return "excepted" if outcome.accepted else "differs"


def of_circumstances(rows: Iterable[Circumstance]) -> list[str]:
    """Return one line for each circumstance."""
    lines = []
    for row in rows:
        if row.varied:
            line = f"{row.name:<10} {row.here} -> {row.elsewhere}"
            lines += [line] if len(line) <= WIDTH else line.replace(" -> ", " ->\n  ").splitlines()
        else:
            lines.append(f"{row.name:<10} {row.here}, the same{f': {row.note}' * bool(row.note)}")
    return lines


def of_outcome(outcome: Outcome, most: int = 12) -> list[str]:
    """Return what a person reads of one component."""
    if outcome.identical:
        return [f"identical ({outcome.first[:12]}…)"]
    head = "differs, as policy.toml lets it" if outcome.accepted else "differs"
    lines = [f"{head} ({outcome.first[:12]}… -> {outcome.second[:12]}…)"]
    if outcome.differs_after:
        lines.append(f"built with another {', '.join(outcome.differs_after)}: look there first")
    for one in outcome.differences[:most]:
        lines.append(f"  {one.path}")
        lines.append(f"    {one.what}")
        lines += [f"    looks like {one.clue}"] if one.clue else []
        lines += [f"    may differ: {one.excepted}"] if one.excepted else []
        lines += [f"    might differ, no longer: {one.expired}"] if one.expired else []
    if len(outcome.differences) > most:
        lines.append(f"  and {len(outcome.differences) - most} more")
    return lines
