"""What a wheelhouse says of its files: their bills of materials, and their provenance."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from packaging.utils import parse_wheel_filename

from strixforge.attest.bill import Part, bill_of_all, bill_of_part
from strixforge.attest.materials import every_material, materials
from strixforge.attest.provenance import statement
from strixforge.gates.dependencies import follow
from strixforge.gates.metadata import read_metadata
from strixforge.plan.graph import Plan
from strixforge.store.store import Record

_LONGEST = 100  # of a licence's name: some wheels have its whole text in that field


class _File(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def origin(self) -> Mapping[str, str]: ...


def bill_in_wheel(wheel: Path, name: str, plan: Plan, records: Mapping[str, Record]) -> str:
    """Return the bill that goes into the wheel of a component.

    Empty for a wheel that was not built here: what came as it is stays as it is.
    """
    if not plan.component(name).is_built:
        return ""
    return bill_of_part(_built(_of_wheel(wheel.name), name, plan, records))


def bill(
    files: Iterable[_File], staged: Path, plan: Plan, records: Mapping[str, Record], inputs: str
) -> str:
    """Return the bill of the wheelhouse: every wheel and prefix, and what asks for what.

    `inputs` is its version: the digest of all that it is made from.
    """
    parts = {one.path: _part(one, staged, plan, records) for one in files}
    installed = {p.name: p.ref for path, p in parts.items() if path.startswith("wheels/")}
    without = {
        one.distribution_of(name): one.without
        for name, one in ((name, plan.component(name).recipe) for name in plan.shipped())
    }
    wheels = [staged / path for path in parts if path.startswith("wheels/")]
    asks: dict[str, set[str]] = {}
    for name, other in follow(wheels, plan.python, without).met:
        asks.setdefault(name, set()).add(installed[other])
    linked = [
        replace(part, requires=tuple(sorted(asks.get(part.name, ()))))
        if path.startswith("wheels/")
        else part
        for path, part in sorted(parts.items())
    ]
    return bill_of_all(f"strixforge-{plan.stack}-{plan.arch}", inputs, linked)


def _part(file: _File, staged: Path, plan: Plan, records: Mapping[str, Record]) -> Part:
    name = file.origin.get("built", "")
    part = (
        _of_wheel(Path(file.path).name)
        if file.path.endswith(".whl")
        else Part(name, plan.component(name).pin.version, "generic")
    )
    part = replace(part, file=file.path, sha256=file.sha256)
    if name:
        return _built(part, name, plan, records)
    return replace(part, licence=_licence(staged / file.path))


def _of_wheel(file: str) -> Part:
    name, version, *_ = parse_wheel_filename(file)
    return Part(name, str(version), "pypi")


def _built(part: Part, name: str, plan: Plan, records: Mapping[str, Record]) -> Part:
    component = plan.component(name)
    return replace(
        part,
        licence=component.recipe.license,
        component=name,
        key=records[name].key,
        materials=materials(component, plan, records),
    )


def _licence(wheel: Path) -> str:
    header = read_metadata(wheel)
    said = [str(header[name] or "").strip() for name in ("License-Expression", "License")]
    fit = (one for one in said if one and len(one) <= _LONGEST and one.isprintable())
    return next((one for one in fit if one.upper() != "UNKNOWN"), "")


def provenance(
    files: Mapping[str, str], plan: Plan, records: Mapping[str, Record], inputs: str
) -> str:
    """Return the in-toto statement on files, sha256 by path, and on all that was built for them."""
    external = {"stack": plan.stack, "arch": plan.arch, "versions": plan.versions()}
    names = plan.closure(plan.shipped())
    internal = {
        "inputs": inputs,
        "python": plan.python.version,
        "keys": {name: records[name].key for name in names},
    }
    made_from = every_material(materials(plan.component(name), plan, records) for name in names)
    return statement(files, external, internal, made_from)
