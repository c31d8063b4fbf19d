"""`doit gc`: frees what nothing needs any more, and after each night what that night brought."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from strixforge.forge.prepare import remove_tree
from strixforge.model.errors import IntegrityError, StrixforgeError
from strixforge.model.sizes import size_text
from strixforge.nightly import generations
from strixforge.nightly.candidate import named_files
from strixforge.nightly.feed import read_feed
from strixforge.opening import open_workspace
from strixforge.store.lock import exclusive
from strixforge.store.store import Record
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

_EVIDENCE = 30
"""Candidates whose log and comparison of kernels are kept."""
_COMPILER_CACHES = 3
"""Of each component: one for each toolchain that it was built with lately."""


@dataclass(slots=True)
class Needed:
    """What must stay."""

    keys: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    """The sha256 of every download that a lock names."""


def gc(ws: Workspace) -> None:
    """Remove all that neither the lock, nor what was built last, nor a promoted stack needs."""
    places = _places(ws)
    with ExitStack() as held:
        for place in places:
            held.enter_context(
                exclusive(
                    place / "night.lock", lambda: BOARD.say("gc", "a night is under way; waiting")
                )
            )
        held.enter_context(ws.store.unused(lambda: BOARD.say("gc", "another run builds; waiting")))
        needed = _needed(ws, places)
        freed = sum(_free_nights(place) for place in places)
        brought = {sha256 for place in places for sha256 in _brought(place)}
        freed += _sweep(ws, needed, None, brought)
        # Whoever publishes holds the store: what lies here is of runs that were killed.
        freed += _remove(ws.store.root / "staging")
        freed += _free_compiler_caches(ws.settings.cache)
    told = f"{size_text(freed)} freed" if freed else "nothing to free"
    BOARD.say("gc", f"{told} in {ws.settings.store} and {ws.settings.build}")
    damaged = ws.store.root / "damaged"
    if damaged.is_dir() and any(damaged.iterdir()):
        BOARD.say("", f"{size_text(_size(damaged))} of damaged artifacts are kept: {damaged}")


def free_after_night(ws: Workspace, place: Path) -> None:
    """Remove what nights brought and nothing needs; other things in the store stay.

    The caller holds the lock of the nights at `place`.
    """
    of_nights = Needed()
    for night in _dropped(place):
        _add_states(of_nights, place / "nights" / night / "project" / "build" / "state")
    try:
        with ws.store.unused(_busy):
            needed = _needed(ws, _places(ws))
            freed = _free_nights(place) + _sweep(ws, needed, of_nights, _brought(place))
            freed += _free_compiler_caches(ws.settings.cache)
    except _BusyError:
        BOARD.say("gc", "another run builds: the next night frees what this one brought")
        return
    except StrixforgeError as error:  # of another stack: what it needs is not known
        BOARD.say("gc", f"nothing is freed before that is mended: {error.what}")
        return
    if freed:
        BOARD.say("gc", f"{size_text(freed)} of earlier nights freed")


class _BusyError(Exception):
    """Somebody adds to the store now."""


def _busy() -> None:
    raise _BusyError


def _places(ws: Workspace) -> list[Path]:
    folder = ws.settings.build / "nightly"
    return sorted(one for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []


def _needed(ws: Workspace, places: Iterable[Path]) -> Needed:
    """Return what the lock's stacks, the last builds here, and the kept candidates need."""
    needed = Needed()
    home = ws.settings.home
    for stack in ws.lock.stacks:
        variables = {"store": str(ws.settings.store), "cache": str(ws.settings.cache)}
        other = open_workspace(home, {**variables, "stack": stack, "target": "elsewhere"})
        for name in (*other.plan.components, *other.plan.devices):
            record = other.status(name).record
            if record is not None:
                needed.keys.add(record.key)
                needed.outputs.add(record.output)
    _add_states(needed, ws.settings.build / "state")
    needed.files |= named_files(home)
    for place in places:
        for night in _kept(place):
            project = place / "nights" / night / "project"
            _add_states(needed, project / "build" / "state")
            needed.files |= named_files(project)
    return needed


def _add_states(needed: Needed, folder: Path) -> None:
    for path in folder.glob("*/*.json"):
        try:
            state = json.loads(path.read_text())
            needed.keys.add(str(state["key"]))
            needed.outputs.add(str(state["output"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no state of a component


def _kept(place: Path) -> set[str]:
    """Return the candidates that are promoted, or that rollback goes to, or are not judged yet."""
    judged = {one.night for one in read_feed(place / "feed.json") if one.verdict != "postponed"}
    open_ones = [night for night in _nights(place) if night.name not in judged]
    return {*generations.kept(place), *(one.name for one in open_ones[-1:])}


def _nights(place: Path) -> list[Path]:
    """Return the folders of candidates, the youngest last."""
    folder = place / "nights"
    found = list(folder.iterdir()) if folder.is_dir() else []
    return sorted(found, key=lambda one: (one.stat().st_mtime_ns, one.name))


def _dropped(place: Path) -> list[str]:
    kept = _kept(place)
    return [one.name for one in _nights(place) if one.name not in kept]


def _brought(place: Path) -> set[str]:
    """Return the sha256 of every archive that a night has downloaded."""
    entries = read_feed(place / "feed.json")
    return {one.toolchain.sha256 for one in entries if one.toolchain and one.toolchain.sha256}


def _free_nights(place: Path) -> int:
    """Remove of candidates that are not kept all but the evidence; of old ones that too."""
    freed = 0
    dropped = _dropped(place)
    for number, night in enumerate(reversed(dropped)):
        folder = place / "nights" / night
        parts = [folder / name for name in ("project", "wheelhouse", "prefix")]
        parts += folder.glob("*.zst")
        for path in parts if number < _EVIDENCE else [folder]:
            freed += _remove(path)
    return freed


def _sweep(ws: Workspace, needed: Needed, only: Needed | None, brought: set[str]) -> int:
    """Remove records and objects that are not needed: all, or those that `only` names."""
    freed = 0
    for path in sorted((ws.store.root / "records").glob("*.json")):
        if path.stem not in needed.keys and (only is None or path.stem in only.keys):
            freed += _remove(path)
    # An object stays while any record leads to it.
    led_to = {record.output for record in _records(ws)}
    for output in ws.store.objects():
        mine = only is None or output in only.outputs
        if mine and output not in needed.outputs | led_to:
            freed += _remove(ws.store.root / "objects" / output)
    for cache in (ws.cache.root, ws.store.mirror):
        for sha256 in brought - needed.files:
            freed += _remove(cache / "sha256" / sha256)
    return freed


def _records(ws: Workspace) -> Iterator[Record]:
    for path in (ws.store.root / "records").glob("*.json"):
        try:
            record = ws.store.record(path.stem)
        except IntegrityError:
            continue  # `verify` tells of it
        if record is not None:
            yield record


def _free_compiler_caches(cache: Path) -> int:
    freed = 0
    folder = cache / "ccache"
    for component in folder.iterdir() if folder.is_dir() else ():
        used = sorted(component.iterdir(), key=lambda one: one.stat().st_mtime_ns)
        freed += sum(_remove(one) for one in used[:-_COMPILER_CACHES])
    return freed


def _remove(path: Path) -> int:
    """Remove a file or folder; return its bytes."""
    if not path.exists():
        return 0
    size = _size(path)
    if path.is_dir():
        remove_tree(path)
    else:
        path.unlink()
    return size


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if not one.is_symlink()]
    return sum(one.stat().st_size for one in files if one.is_file())
