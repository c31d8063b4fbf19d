"""Collects a stack into one folder that installs, verified, on a machine with no network."""

import ctypes
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from strixforge.gates import registry
from strixforge.gates.contents import read_archive
from strixforge.gates.staged import Shipped, Staged
from strixforge.model.digests import file_sha256
from strixforge.model.pins import SystemPin
from strixforge.plan.graph import Component, Plan
from strixforge.plan.python import Python
from strixforge.plan.requirements import Locked
from strixforge.release import attested, locks
from strixforge.release.activation import render_activation
from strixforge.release.glibc import highest
from strixforge.release.inputs import INSTALLER, TEMPLATES, wheelhouse_inputs
from strixforge.release.python import needed_python
from strixforge.release.relink import libraries, relink_tree, relink_wheel
from strixforge.release.sums import BILL, PROVENANCE, SIGNATURE, SUMS, sha256sums
from strixforge.sources.cache import Cache
from strixforge.sources.index import wheel as index_wheel
from strixforge.store.store import Record, Store
from strixforge.store.tree import normalise


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the wheelhouse."""

    path: str
    sha256: str
    size: int
    origin: dict[str, str]
    """{"built": component, "version", "license", ...}, {"index": name, ...}, or {"strixforge"}."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A wheelhouse that was made."""

    items: tuple[Item, ...]
    gates: registry.Passed


def collect(
    plan: Plan,
    records: dict[str, Record],
    runtime: tuple[Locked, ...],
    store: Store,
    cache: Cache,
    place: Path,
) -> Collected:
    """Make the wheelhouse at `place`, replacing an older one when the new one is complete.

    The caller holds the lock of `place`.
    Raises IntegrityError for a changed artifact or wheel, GateError when a gate finds something, or
    the wheels are for different Pythons.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(f".{place.name}-*"):
        shutil.rmtree(left)  # of a run that was killed
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as folder:
        staged = Path(folder) / "wheelhouse"
        for name in ("wheels", "prefixes", "tools"):
            (staged / name).mkdir(parents=True)
        inputs = wheelhouse_inputs(plan, records, runtime)
        items = _built(plan, records, store, staged, Path(folder))
        items += _from_index(runtime, plan.python, cache, staged)
        seen = _for_gates(staged, plan, items)
        passed = registry.run(seen)
        wheels = [item for item in items if item.path.startswith("wheels/")]
        texts = {
            "requirements.txt": locks.requirements(wheels),
            "pylock.toml": locks.pylock(wheels),
            BILL: attested.bill(items, staged, plan, records, inputs),
            "activate.sh": render_activation(plan),
            **{name: (TEMPLATES / name).read_text(encoding="utf-8") for name in INSTALLER},
        }
        for name, text in texts.items():
            (staged / name).write_text(text, encoding="utf-8")
            items.append(_item(staged, name, {"strixforge": plan.stack}))
        (staged / "install.sh").chmod(0o755)
        # pip runs under that Python too.
        python = needed_python([*staged.glob("wheels/*.whl"), *staged.glob("tools/*.whl")])
        glibc = highest(seen.archives, "GLIBC")
        manifest = {
            "schema": 1,
            "stack": plan.stack,
            "arch": plan.arch,
            "inputs": inputs,
            "python": python.minimum,
            "python_exact": python.exact,
            "python_requires": python.requires,
            "without": _names_left_out(plan),
            "glibc": glibc.version,
            "glibc_file": glibc.file,
            "glibcxx": highest(seen.archives, "GLIBCXX").version,
            "cxxabi": highest(seen.archives, "CXXABI").version,
            "gates": passed.looked_at,
            "files": [asdict(item) for item in sorted(items, key=lambda item: item.path)],
        }
        (staged / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        digests = {item.path: item.sha256 for item in items}
        digests["manifest.json"] = file_sha256(staged / "manifest.json")
        text = attested.provenance(digests, plan, records, inputs)
        (staged / PROVENANCE).write_text(text, encoding="utf-8")
        write_sums(staged, digests)
        normalise(staged)
        _put(staged, place)
    return Collected(tuple(items), passed)


def write_sums(place: Path, digests: Mapping[str, str]) -> None:
    """Write SHA256SUMS of a wheelhouse.

    `digests` are those of the manifest and its files; provenance and signature are read.
    """
    proofs = (place / name for name in (PROVENANCE, SIGNATURE))
    own = {path.name: file_sha256(path) for path in proofs if path.is_file()}
    (place / SUMS).write_text(sha256sums({**digests, **own}), encoding="utf-8")


def _put(staged: Path, place: Path) -> None:
    """Put `staged` at `place`; what was there is at `staged` then. One step, or none."""
    if not place.exists():
        staged.rename(place)
        return
    at_fdcwd, exchange = -100, 2  # linux/fcntl.h, linux/fs.h: RENAME_EXCHANGE
    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(staged), os.fsencode(place))
    if libc.renameat2(at_fdcwd, names[0], at_fdcwd, names[1], exchange):
        place.rename(staged.with_name("old"))  # a file system that cannot exchange
        staged.rename(place)


def _built(
    plan: Plan, records: dict[str, Record], store: Store, staged: Path, folder: Path
) -> list[Item]:
    known: dict[str, PurePosixPath] = {}
    trees: dict[str, Path] = {}
    shipped = {name: plan.component(name) for name in plan.shipped()}
    for name, component in shipped.items():
        trees[name] = store.verified(records[name].output, what=name)
        if component.recipe.output != "wheel":
            for soname, where in libraries(trees[name], PurePosixPath(name)).items():
                known.setdefault(soname, where)
    items = []
    for name, component in shipped.items():
        work = folder / name
        work.mkdir()
        if component.recipe.output == "wheel":
            (source,) = trees[name].glob("*.whl")
            bill = attested.bill_in_wheel(source, name, plan, records)
            made = relink_wheel(
                source, staged / "wheels", work, known, component.pin.epoch, bill=bill
            )
        else:
            made = staged / "prefixes" / f"{name}-{component.pin.version}.tar"
            _pack_prefix(component, trees[name], work / name, made, known)
        origin = {
            "built": name,
            "version": component.pin.version,
            "license": component.recipe.license,
            "source": records[name].document["source"],
            "key": records[name].key,
            "output": records[name].output,
        }
        items.append(_item(staged, made.relative_to(staged).as_posix(), origin))
    return items


def _pack_prefix(
    component: Component, tree: Path, copy: Path, made: Path, known: dict[str, PurePosixPath]
) -> None:
    """Copy a prefix, set its RPATHs, and write it as a tar that depends on its content alone."""
    shutil.copytree(tree, copy, symlinks=True)
    if component.recipe.output == "prefix":  # a toolchain is handed over as it came
        relink_tree(copy, PurePosixPath(component.name), known)
    with tarfile.open(made, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(copy.rglob("*")):
            info = tar.gettarinfo(path, arcname=path.relative_to(copy).as_posix())
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = component.pin.epoch
            info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
            if info.islnk():  # hard links of the copy are an accident of the store
                info.type, info.size = tarfile.REGTYPE, path.stat().st_size
            with path.open("rb") if info.isreg() else io.BytesIO() as file:
                tar.addfile(info, file)


def _from_index(
    runtime: tuple[Locked, ...], python: Python, cache: Cache, staged: Path
) -> list[Item]:
    items = []
    for locked in runtime:
        name, path = index_wheel(locked, python, cache)
        # pip installs the others, and is itself no part of the environment.
        folder = "tools" if locked.name == "pip" else "wheels"
        shutil.copyfile(path, staged / folder / name)
        origin = {"index": locked.name, "version": locked.version}
        items.append(_item(staged, f"{folder}/{name}", origin))
    return items


def _left_out(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return what recipes leave out of their wheels' requirements, by distribution."""
    shipped = {name: plan.component(name).recipe for name in plan.shipped()}
    return {one.distribution_of(name): one.without for name, one in shipped.items() if one.without}


def _names_left_out(plan: Plan) -> dict[str, list[str]]:
    """Return the same as names alone, for the installer, which asks pip whether all is there."""
    return {
        name: sorted(
            {canonicalize_name(one.name) for one in map(Requirement, texts) if not one.extras}
        )
        for name, texts in _left_out(plan).items()
    }


def _for_gates(staged: Path, plan: Plan, items: list[Item]) -> Staged:
    """Read what was staged, once for all gates."""
    components = {name: plan.component(name) for name in plan.shipped()}
    archives = []
    for item in items:
        name = item.origin.get("built", "")
        came = bool(name) and not components[name].is_built
        tools = bool(name) and components[name].recipe.output == "toolchain"
        archives.append(
            read_archive(staged, item.path, item.sha256, name, as_it_came=came, is_toolchain=tools)
        )
    return Staged(
        archives=tuple(archives),
        shipped={
            name: Shipped(
                one.recipe.distribution_of(name),
                one.recipe.license,
                one.recipe.without,
            )
            for name, one in components.items()
        },
        python=plan.python,
        arch=plan.arch,
        system_rocm=any(isinstance(one.pin, SystemPin) for one in plan.components.values()),
    )


def _item(staged: Path, path: str, origin: dict[str, str]) -> Item:
    file = staged / path
    file.chmod(0o644)
    return Item(path, file_sha256(file), file.stat().st_size, origin)


def summary(items: tuple[Item, ...]) -> dict[str, Any]:
    """Return counts and bytes for the last line that a person reads."""
    return {
        "wheels": sum(item.path.startswith("wheels/") for item in items),
        "prefixes": sum(item.path.startswith("prefixes/") for item in items),
        "bytes": sum(item.size for item in items),
    }
