"""One component: built or restored, or entered with a shell."""

import functools
import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from strixforge.actions.fetching import fetch
from strixforge.model.digests import document_digest
from strixforge.model.errors import GateError
from strixforge.model.pins import AptPin
from strixforge.plan.graph import Component
from strixforge.policy import in_location
from strixforge.store.lock import exclusive
from strixforge.store.store import Record
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

if TYPE_CHECKING:
    from strixforge.forge import build as forge
    from strixforge.forge.roots import Root
    from strixforge.forge.toolchains import Toolchain


def build(ws: Workspace, name: str) -> None:
    """Restore the component by its key, or build and publish it."""
    ws.require_allowed()
    status = ws.status(name)
    if status.unpinned is not None:
        raise status.unpinned
    if status.key is None or status.document is None:
        raise GateError(f"{name} waits for {', '.join(status.waits_for)}.")
    key = status.key
    place = ws.settings.store / "locks" / key
    wait = functools.partial(BOARD.say, name, "another run is building it; waiting")
    with exclusive(place, wait), ws.store.used():
        status = ws.status(name)
        if status.record is not None:
            ws.check_toolchain(name, ws.store.tree(status.record.output))
            ws.write_state(name, status.record)
            BOARD.say(name, f"restored from the store ({status.record.output[:12]}…)")
            return
        ws.store.clear_staging(key)
        record = _build(ws, name)
        ws.write_state(name, record)
    BOARD.say(name, f"done in {record.notes['seconds']} s ({record.output[:12]}…)")


def _build(ws: Workspace, name: str) -> Record:
    from strixforge.actions.preflight import require_programs
    from strixforge.forge import build as forge

    component = ws.plan.component(name)
    require_programs(ws, [component])
    bench = make_bench(ws, component)
    fetch(ws, name)
    with (
        work_lock(ws, name),
        ws.forge_lock,
        BOARD.activity(name) as activity,
    ):
        if component.is_built:
            BOARD.say(name, f"log: {bench.log}")
        built = forge.build(
            component, ws.plan, bench, functools.partial(BOARD.say, name), activity.line
        )
        if component.recipe.output == "toolchain":
            ws.policy.check(in_location(built.folder, f"the top folder of {name}'s archive"))
        ws.check_toolchain(name, built.out)
        ws.require_unchanged(component)
        document = ws.status(name).document
        if document is None:  # pragma: no cover - build() has looked
            raise GateError(f"the needs of {name} went away while it was built.")
        record = ws.store.publish(document, built.out, built.notes)
        shutil.rmtree(bench.work, ignore_errors=True)  # the log stays
    return record


def make_bench(ws: Workspace, component: Component) -> "forge.Bench":
    """Return where a component is built, its needs verified."""
    needs: dict[str, Path] = {}
    toolchains: dict[str, Toolchain] = {}
    for need in component.recipe.needs:
        record = ws.need(need).record
        if record is None:
            raise GateError(
                f"{component.name} needs {need}, which is not built.", fix=f"./doit build_{need}"
            )
        tree = ws.store.verified(record.output, what=need)
        if ws.plan.component(need).recipe.output == "toolchain":
            ws.check_toolchain(need, tree)
            toolchains[need] = ws.toolchain(need)
        else:
            needs[need] = tree
    bench = empty_bench(ws, component, component.name)
    cache = _compiler_cache(ws, component) if component.is_built else None
    return replace(bench, needs=needs, toolchains=toolchains, compiler_cache=cache)


def _compiler_cache(ws: Workspace, component: Component) -> Path:
    """Return the folder of a component's compiler cache: its own, and one for each toolchain.

    A compiler cache does not see device bitcode that changed below the same compiler (measured),
    and what one component's build writes there no other one may take.
    """
    seen = {
        need: record.output
        for need in ws.plan.needs(component.name)
        if ws.plan.component(need).recipe.output in ("toolchain", "root")
        and (record := ws.status(need).record) is not None
    }
    key = document_digest([ws.root_key(component), seen])
    return ws.settings.cache / "ccache" / component.name / key[:16]


def empty_bench(ws: Workspace, component: Component, folder: str) -> "forge.Bench":
    """Return where a component is worked on, with none of its needs in sight."""
    from strixforge.forge import build as forge

    settings = ws.settings
    return forge.Bench(
        site=ws.site_of(component),
        root=_root(ws, component),
        work=settings.build / "work" / ws.plan.stack / folder,
        log=settings.build / "logs" / ws.plan.stack / f"{folder}.log",
        sandbox=settings.sandbox,
        jobs=settings.jobs,
        needs={},
        toolchains={},
        words=settings.words(),
    )


def _root(ws: Workspace, component: Component) -> "Root":
    """Return the file system that a component's steps see, verified."""
    from strixforge.forge import roots

    if ws.plan.root is None or not component.is_built:
        return roots.host()
    record = ws.status(ws.plan.root).record
    if record is None:
        raise GateError(
            f"the root {ws.plan.root} is not unpacked.", fix=f"./doit build_{ws.plan.root}"
        )
    pin = ws.plan.component(ws.plan.root).pin
    python = pin.python if isinstance(pin, AptPin) else None
    return roots.tree(ws.store.verified(record.output, what=ws.plan.root), python)


def shell(ws: Workspace, name: str) -> None:
    """Open a shell in the component's sandbox."""
    from strixforge.forge import build as forge

    component = ws.plan.component(name)
    with work_lock(ws, name):
        forge.shell(component, ws.plan, make_bench(ws, component))


def work_lock(ws: Workspace, name: str) -> AbstractContextManager[None]:
    """Return the lock of a component's work folder: one build, shell or look at a time."""
    place = ws.settings.build / "work" / ws.plan.stack / f"{name}.lock"
    return exclusive(place, functools.partial(BOARD.say, name, "another run works on it; waiting"))
