"""Compares all that was built twice, and says what differs and why it may."""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from strixforge.model.unreproducible import Unreproducible
from strixforge.reproduce.bytewise import Trace
from strixforge.reproduce.circumstances import Circumstance
from strixforge.reproduce.collected import compare_wheelhouses
from strixforge.reproduce.differences import compare_trees
from strixforge.reproduce.report import Outcome, Report, judge, useless
from strixforge.store.store import Record, Store
from strixforge.store.tree import Manifest

Build = tuple[Store, dict[str, Record]]
"""A store, and the records of what was built into it, in order."""


class Pair(NamedTuple):
    """One file that differs, in both outputs."""

    name: str
    first: Path
    second: Path


def compare_all(
    stack: tuple[str, str],
    first: Build,
    second: Build,
    wheelhouses: tuple[Path, Path] | None,
    rows: tuple[Circumstance, ...],
    known: tuple[Sequence[Unreproducible], dt.date],
) -> tuple[Report, list[Pair]]:
    """Compare two builds of a stack, and their wheelhouses; return the files that differ too.

    `stack` is its name and its GPU target; `known` is what may differ, and the day it is.
    Raises IntegrityError for an output that is not what its record says.
    """
    records = tuple(list(build[1].values()) for build in (first, second))
    rows = (*rows, *(noted(name, *records) for name in ("jobs", "sandbox")))
    # A number alone does not tell which of the two it is.
    names = dict.fromkeys(("cores", "jobs"), "number of cores or jobs")
    traces = [
        Trace(names.get(row.name, row.name), row.here, row.elsewhere) for row in rows if row.varied
    ]
    differing: set[str] = set()
    outcomes = []
    pairs: list[Pair] = []
    for name, record in first[1].items():
        one, other = record.output, second[1][name].output
        trees = first[0].verified(one, what=name), second[0].verified(other, what=name)
        if one == other:
            outcomes.append(Outcome(name, one, other))
            continue
        manifests = _manifest(trees[0]), _manifest(trees[1])
        found = compare_trees(trees[0], manifests, trees[1], traces)
        needs = tuple(need for need in record.document["needs"] if need in differing)
        outcomes.append(Outcome(name, one, other, needs, judge(name, found, *known)))
        differing.add(name)
        pairs += _pairs(name, trees, manifests)
    alone: tuple[str, ...] | None = None
    follows: tuple[str, ...] = ()
    if wheelhouses is not None:
        alone, follows = compare_wheelhouses(*wheelhouses, differing)
        both = [tuple(house / path for house in wheelhouses) for path in alone]
        files = [(one, other) for one, other in both if one.is_file() and other.is_file()]
        pairs += [Pair(f"wheelhouse-{one.name}", one, other) for one, other in files]
    report = Report(
        stack=stack[0],
        arch=stack[1],
        circumstances=rows,
        components=tuple(outcomes),
        wheelhouse=alone,
        follows=follows,
        useless=useless(known[0], outcomes),
    )
    return report, pairs


def noted(name: str, first: list[Record], second: list[Record]) -> Circumstance:
    """Return what the builds themselves noted, of jobs or sandboxes, here and elsewhere."""
    texts = [
        ", ".join(sorted({str(one.notes[name]) for one in records})) for records in (first, second)
    ]
    return Circumstance(name, texts[0], texts[1])


def _manifest(tree: Path) -> Manifest:
    manifest: Manifest = json.loads((tree.parent / "manifest.json").read_bytes())
    return manifest


def _pairs(name: str, trees: tuple[Path, Path], manifests: tuple[Manifest, Manifest]) -> list[Pair]:
    """Return the files that both outputs have, with other bytes."""
    one, other = ({entry["path"]: entry.get("sha256") for entry in m} for m in manifests)
    paths = [path for path in one if one[path] and other.get(path) and one[path] != other[path]]
    return [Pair(f"{name}-{path}", trees[0] / path, trees[1] / path) for path in paths]
