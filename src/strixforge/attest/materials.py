"""What a component was made from: its source, its patches, its tools, and what it needed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from strixforge.model.digests import document_digest, file_sha256
from strixforge.model.pins import AptPin, ArchivePin, GitPin, IndexPin, LocalPin
from strixforge.plan.graph import Component, Plan
from strixforge.store.store import Record

Kind = Literal["source", "patch", "requirements", "tool", "root", "component"]


@dataclass(frozen=True, slots=True)
class Material:
    """One thing that went into a build."""

    kind: Kind
    name: str
    version: str
    uri: str
    """An address, a package URL, or `strixforge:` and a path of the repository or a component."""
    digests: Mapping[str, str]
    """By the names of in-toto's DigestSet: `sha256`, `gitCommit`.

    None for a tool: the requirements that it is one of have the hashes of all its files.
    """


def materials(
    component: Component, plan: Plan, records: Mapping[str, Record]
) -> tuple[Material, ...]:
    """Return what a component was made from, source first.

    `records` are those of the component and of all that it needs.
    """
    home = plan.lock_file.parent
    record = records[component.name]
    found = [_source(component, record)]
    found += [
        Material("patch", one.path.name, "", _inside(one.path, home), {"sha256": one.sha256})
        for one in component.patches
    ]
    if component.is_built:
        found += _tools(component, home)
        found += _root(plan, record)
    found += [
        Material(
            "component",
            name,
            plan.component(name).pin.version,
            f"strixforge:{name}",
            {"sha256": records[name].output},
        )
        for name in plan.needs(component.name)
    ]
    return tuple(found)


def every_material(of: Iterable[tuple[Material, ...]]) -> list[Material]:
    """Return each material once, sorted."""
    found = {(one.kind, one.uri, one.name): one for several in of for one in several}
    return [found[key] for key in sorted(found)]


def _source(component: Component, record: Record) -> Material:
    pin = component.pin
    # What git and an index know a source by; else the digest of what the build saw.
    digests = {"sha256": str(record.document["source"]).rpartition(":")[2]}
    uri = "strixforge:system"
    match pin:
        case GitPin():
            uri, digests = f"git+{pin.url}", {"gitCommit": pin.commit}
        case ArchivePin():
            uri, digests = pin.url, {"sha256": pin.sha256}
        case IndexPin():
            uri, digests = f"pkg:pypi/{pin.name}@{pin.version}", {"sha256": pin.sha256}
        case LocalPin():
            uri = f"strixforge:{pin.path}"
        case AptPin():
            uri = f"strixforge:locks/apt/{pin.component}-{pin.version}.toml"
    return Material("source", pin.component, pin.version, uri, digests)


def _tools(component: Component, home: Path) -> Iterator[Material]:
    if not component.recipe.build.python:
        return
    path = component.requirements_file
    yield Material(
        "requirements", path.name, "", _inside(path, home), {"sha256": file_sha256(path)}
    )
    for one in component.requirements.locked:
        uri = f"pkg:pypi/{one.name}@{one.version}"
        yield Material("tool", one.name, one.version, uri, {})


def _root(plan: Plan, record: Record) -> Iterator[Material]:
    """Yield the system that the build ran in, where that is the host's: a root is a component."""
    if plan.root is None:
        digest = document_digest(record.document["root"])
        yield Material("root", "host", "", "strixforge:host", {"sha256": digest})


def _inside(path: Path, home: Path) -> str:
    return f"strixforge:{path.relative_to(home).as_posix()}"
