"""A candidate: the project with another release of its toolchain, in a folder of its own.

nights/<name>/project     lock, recipes, patches: what is tried
nights/<name>/pin.json    the archive of the release, once it was downloaded
nights/<name>/wheelhouse  what came out, when all of it was built
nights/<name>/prefix      the same installed, where this machine can
"""

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import tomlkit

from strixforge.forge.prepare import remove_tree
from strixforge.model import conditions
from strixforge.model.errors import PolicyError, UsageError
from strixforge.model.lock import Lock, Stack, Together
from strixforge.model.pins import ArchivePin
from strixforge.nightly.feed import Toolchain
from strixforge.plan.graph import Plan
from strixforge.project_copy import copy_project, git, local_sources

_MOST_CHOICES = 10_000
"""Combinations of pins that are looked at."""
_SHA256 = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One release, and where it is tried."""

    release: str
    folder: Path

    @property
    def name(self) -> str:
        """Release and state of the project: the same two are never judged twice."""
        return self.folder.name

    @property
    def project(self) -> Path:
        """The folder of its dodo.py."""
        return self.folder / "project"

    @property
    def wheelhouse(self) -> Path:
        """The wheelhouse, once it is finished."""
        return self.folder / "wheelhouse"

    @property
    def prefix(self) -> Path:
        """Where it is installed."""
        return self.folder / "prefix"

    def archive(self) -> Toolchain | None:
        """Return what an earlier night downloaded, or None."""
        try:
            return msgspec.json.decode((self.folder / "pin.json").read_bytes(), type=Toolchain)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def keep(self, archive: Toolchain) -> None:
        """Remember what was downloaded: a later night asks for the same bytes."""
        staged = self.folder / "pin.new"
        staged.write_bytes(msgspec.json.encode(archive))
        staged.replace(self.folder / "pin.json")


def followed(plan: Plan) -> ArchivePin:
    """Return the pin of a stack that follows releases. Raises UsageError where there is none."""
    for component in plan.components.values():
        if component.recipe.output == "toolchain" and isinstance(component.pin, ArchivePin):
            return component.pin
    raise UsageError(
        f"stack {plan.stack} has no toolchain that comes as an archive.",
        where=f"stack={plan.stack}",
        cause="Releases of TheRock are archives; only such a pin can be moved to another one.",
        fix="./doit stack=therock nightly",
    )


def project_digest(home: Path, plan: Plan) -> str:
    """Return a digest of what decides what is built: root, data of the project, its sources."""
    found = hashlib.sha256(f"{plan.root}\0".encode())
    data = [home / name for name in ("toolchain.lock", "policy.toml")]
    for folder in ("recipes", "patches", "locks", "smoke"):
        data += sorted(path for path in (home / folder).rglob("*") if path.is_file())
    if sources := local_sources(plan):
        listed = git(home, "ls-files", "-z", "--", *sources).split("\0")
        data += [home / name for name in sorted(filter(None, listed))]
    for path in data:
        if path.is_file():
            found.update(f"{path.relative_to(home)}\0{path.stat().st_size}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def named_files(home: Path) -> set[str]:
    """Return the sha256 of everything that the locks of a project name: downloads, among others."""
    files = [home / "toolchain.lock", *(home / "locks").rglob("*")]
    texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
    return {sha256 for text in texts for sha256 in _SHA256.findall(text)}


def checkout(home: Path) -> str:
    """Return the commit of the project, with a plus where files were changed; nothing without."""
    if not (home / ".git").exists() or shutil.which("git") is None:
        return ""
    commit = git(home, "rev-list", "--max-count=1", "--all").strip()
    if not commit:
        return ""
    commit = git(home, "rev-parse", "HEAD").strip()
    return commit + ("+" if git(home, "status", "--porcelain", "--untracked-files=no") else "")


def lay_out(candidate: Candidate, home: Path, plan: Plan) -> None:
    """Copy the project into the candidate's folder; what an earlier night left there goes."""
    candidate.folder.mkdir(parents=True, exist_ok=True)
    begun = candidate.folder.glob(f"{candidate.prefix.name}.*")
    for left in (candidate.project, candidate.wheelhouse, candidate.prefix, *begun):
        if left.exists():
            remove_tree(left)
    candidate.project.mkdir()
    copy_project(home, candidate.project, local_sources(plan))


def moved_pins(lock: Lock, stack: Stack, component: str, release: str) -> dict[str, str]:
    """Return the version of every component when `component` is of another release.

    Where a set of pins does not fit any more, another pin of the lock takes its place.
    Raises PolicyError where there is none that fits.
    """
    pins = stack.choose({}, file=lock.file)
    usual = {name: pin.version for name, pin in pins.items()} | {component: release}
    offers: dict[str, list[str]] = {}
    for pin in stack.pins:
        if pin.component != component:
            offers.setdefault(pin.component, []).append(pin.version)
    # As few others as possible are moved, and each to the pin that the lock names first.
    whole = (
        dict(zip(offers, chosen, strict=True)) for chosen in itertools.product(*offers.values())
    )
    tries = itertools.islice(whole, _MOST_CHOICES)
    for chosen in sorted(tries, key=lambda one: sum(usual[n] != v for n, v in one.items())):
        versions = {**usual, **chosen}
        if not any(one.misfits(versions) for one in lock.together):
            return versions
    for one in lock.together:
        for text in one.misfits(usual):
            have = ", ".join(f"{name} {usual[name]}" for name in conditions.names([text]))
            raise _no_set(lock, one, f"{text}; chosen: {have}", release)
    return usual


def _no_set(lock: Lock, one: Together, asks: str, release: str) -> PolicyError:
    return PolicyError(
        f"no pins of the lock go with release {release}: set {one.id}.",
        where=f"{lock.file}: together ({one.id})",
        cause=f"It asks for {asks}.\nsource: {one.source}",
        fix="Add a pin that fits, or the set that you know to work.",
    )


def write_lock(
    candidate: Candidate, stack: str, pin: ArchivePin, versions: Mapping[str, str], to: Toolchain
) -> None:
    """Write the candidate's lock: the release in place of `pin`, and the chosen versions first."""
    path = candidate.project / "toolchain.lock"
    document: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
    entries = document["stack"][stack]["pin"]
    for index in reversed(range(len(entries))):
        entry = entries[index]
        name, version = str(entry["component"]), str(entry["version"])
        if name == pin.component and version == pin.version:
            entry["version"], entry["url"] = candidate.release, to.url
            entry["sha256"] = to.sha256 or "unresolved"
            if "note" in entry:
                entry["note"] = (
                    "Found in an index, and trusted on first use: nobody publishes its hash."
                )
            entry.pop("also", None)
        elif name == pin.component or (name in versions and versions[name] != version):
            del entries[index]  # another choice, which would come before this one
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_text(tomlkit.dumps(document), encoding="utf-8")
    staged.replace(path)
