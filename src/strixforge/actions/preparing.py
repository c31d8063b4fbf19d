"""A source prepared for a look: unpacked, patched, made ready and checked, as a build would."""

from pathlib import Path

from strixforge.actions.building import empty_bench, work_lock
from strixforge.actions.fetching import fetch_requirements
from strixforge.model.checks import SourceCheck
from strixforge.model.errors import PatchError, SourceError, UsageError
from strixforge.plan.evaluate import source_checks
from strixforge.plan.graph import Component
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def prepare(ws: Workspace, name: str) -> None:
    """Unpack and patch the source, run what makes it ready, and check it.

    With source=, another source than the pinned one is tried, and what does not fit it is told.
    """
    from strixforge.forge import build as forge

    component = ws.plan.component(name)
    ws.require_patches(component)
    given, work = ws.settings.source, ws.settings.build / "work"
    if given is not None and given.resolve().is_relative_to(work.resolve()):
        raise UsageError(
            "source= lies in the work folder, which this would empty.",
            where=f"source={given}",
            fix=f"cp -r '{given}' /another/folder, and give that one.",
        )
    place = ws.settings.build / "work" / ws.plan.stack / f"{name}.prepared"
    steps = component.recipe.build.prepare
    bench = None
    if steps:
        fetch_requirements(ws, name, component.requirements)
        bench = empty_bench(ws, component, place.name)
    with work_lock(ws, name), BOARD.activity(f"prepare {name}") as activity:
        if bench is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            forge.lay_out_folders(component, bench)
        failed = _lay_out(ws, component, place / "src")
        if bench is not None:
            forge.make_ready(component, ws.plan, bench, activity.line)
            BOARD.say(name, f"made ready by {len(steps)} step(s): {bench.log}")
        failed += _check(ws, component, place / "src")
    BOARD.say(name, f"prepared source: {place / 'src'}")
    if given is None:
        BOARD.write(f"next:  ./doit {ws.settings.words()}build_{name}")
    if failed:
        raise SourceError(
            f"{failed} of the patches and checks of {name} do not fit this source.",
            where=f"source={ws.settings.source}",
            cause=f"They are for {name} {component.pin.version}.",
            fix="The lines above say which; nothing is ever built from this source.",
        )


def _lay_out(ws: Workspace, component: Component, source: Path) -> int:
    """Lay out and patch the source, and say so. Returns how many patches do not fit a given one."""
    from strixforge.forge.prepare import lay_out_other
    from strixforge.forge.prepare import prepare as forge_prepare

    if ws.settings.source is not None:
        lay_out_other(ws.settings.source, source, component.pin.epoch)
        return _try_patches(component, source)
    forge_prepare(component, ws.site_of(component), source)
    for patch in component.patches:
        BOARD.say(component.name, f"applied {patch.path.name}: {patch.description}")
    for patch, why in component.skipped:
        BOARD.say(component.name, f"skipped {patch.path.name} ({why})")
    return 0


def _check(ws: Workspace, component: Component, source: Path) -> int:
    """Check the source, and say so. Returns how many checks do not hold for a given one."""
    from strixforge.forge.source_checks import check_source

    checks = source_checks(component, ws.plan)
    if ws.settings.source is not None:
        return _try_checks(component, checks, source)
    if check_source(component.name, checks, source):
        BOARD.say(component.name, f"{len(checks)} check(s) of the source hold")
    return 0


def _try_patches(component: Component, source: Path) -> int:
    """Apply each patch of the component, and say how that went. Returns how many did not fit."""
    from strixforge.forge.prepare import apply

    failed = 0
    for patch in component.patches:
        try:
            apply(patch, source, component.name)
        except PatchError as error:
            failed += 1
            BOARD.say(component.name, f"does not fit: {error.what}")
            BOARD.say("", "\n".join(f"  {line}" for line in error.where.splitlines()[1:4]))
        else:
            BOARD.say(component.name, f"applied {patch.path.name}: {patch.description}")
    return failed


def _try_checks(component: Component, checks: tuple[SourceCheck, ...], source: Path) -> int:
    """Try each check of the source, and say how that went. Returns how many do not hold."""
    from strixforge.forge.source_checks import check_source

    failed = 0
    for check in checks:
        try:
            check_source(component.name, [check], source)
        except SourceError as error:
            failed += 1
            BOARD.say(component.name, f"does not hold: {error.where.splitlines()[0]}")
        else:
            verb = f"has {check.has}" if check.has else f"lacks {check.lacks}"
            BOARD.say(component.name, f"holds: {check.file} {verb}")
    return failed
