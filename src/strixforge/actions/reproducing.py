"""`doit reproduce`: the stack built again in other circumstances, and compared with the store."""

import atexit
import datetime as dt
import functools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from strixforge.actions.collecting import wheelhouse_place
from strixforge.actions.fetching import fetch, fetch_runtime
from strixforge.host import machine
from strixforge.model.errors import (
    DataError,
    GateError,
    IntegrityError,
    InterruptedRunError,
    NotReproducibleError,
    StrixforgeError,
    UsageError,
)
from strixforge.model.loading import nearest
from strixforge.model.recipe_files import component_names
from strixforge.model.sizes import size_text
from strixforge.plan.forecast import costs
from strixforge.project_copy import local_sources
from strixforge.store.lock import exclusive
from strixforge.store.store import Record
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

if TYPE_CHECKING:
    from strixforge.reproduce.comparison import Pair
    from strixforge.reproduce.place import Place
    from strixforge.reproduce.report import Report
    from strixforge.reproduce.second import Second

_LABEL = "reproduce"


def today() -> dt.date:
    """Return the day that exceptions of policy.toml are measured by."""
    return dt.datetime.now(dt.UTC).date()


def reproduce(ws: Workspace, day: Callable[[], dt.date] = today) -> None:
    """Build again what the store has, compare it, and say what came of it.

    Raises NotReproducibleError where it differs, and what a build raises where it fails.
    """
    from strixforge.reproduce import place as places
    from strixforge.reproduce import report as reports
    from strixforge.reproduce.comparison import compare_all
    from strixforge.reproduce.second import plan_second

    _check_known(ws)
    records = _records(ws)
    again = _built_again(ws, records)
    for name in again:
        fetch(ws, name)
    if not ws.settings.only:
        fetch_runtime(ws)
    folder = ws.settings.build / "reproduce"
    place = places.Place(folder / ws.plan.stack / "again")
    wait = functools.partial(BOARD.say, _LABEL, "another run does the same; waiting")
    with exclusive(folder / f"{ws.plan.stack}.lock", wait), ws.forge_lock:
        kept = False
        # A stopped run does not wait for its threads.
        clear = functools.partial(places.discard, place)
        atexit.register(clear)
        try:
            _lay_out(ws, place, records, again)
            work = f"build/work/{ws.plan.stack}"
            there = (place.project / work).relative_to(ws.settings.home)
            first = [records[name] for name in again]
            second = plan_second(place, (work, str(there)), ws.settings.sandbox, first)
            _say_before(ws, again, records, second)
            try:
                _build(ws, place, second, again)
                made = _second_records(ws, place, again, records)
                shipped = not ws.settings.only
                houses = wheelhouse_place(ws), place.wheelhouse(ws.plan.stack)
                report, pairs = compare_all(
                    (ws.plan.stack, ws.plan.arch),
                    (ws.store, {name: records[name] for name in again}),
                    (place.store, made),
                    houses if shipped else None,
                    second.rows,
                    (ws.policy.rules.unreproducible, day()),
                )
            except InterruptedRunError:
                raise
            except StrixforgeError:
                kept = True
                raise
            reports.write(report, folder / f"{ws.plan.stack}.json")
            _say_after(report)
            kept = bool(report.wheelhouse) or not all(one.identical for one in report.components)
            if kept:
                _explain(pairs, folder / ws.plan.stack)
                _keep(ws, place, report)
        finally:
            if not kept:
                clear()
            atexit.unregister(clear)
    BOARD.say(_LABEL, f"all of it: {folder / ws.plan.stack}.json")
    if not report.reproducible:
        raise _refusal(ws, report)


def _check_known(ws: Workspace) -> None:
    """Raise DataError for an exception of policy.toml that speaks of no component."""
    known = component_names(ws.settings.home / "recipes")
    for rule in ws.policy.rules.unreproducible:
        if rule.component not in known:
            raise DataError(
                f"there is no recipe for '{rule.component}'.",
                where=f"{ws.settings.home / 'policy.toml'}: unreproducible ({rule.component})",
                fix=nearest(rule.component, known),
            )


def _records(ws: Workspace) -> dict[str, Record]:
    """Return the records of what is built again and of all that it needs, in order."""
    only = ws.settings.only
    found = {}
    for name in ws.plan.closure([only] if only else ws.plan.shipped()):
        record = ws.status(name).record
        if record is None:
            raise GateError(f"{name} is not built.", fix=f"./doit build_{name}")
        ws.store.verified(record.output, what=name)
        found[name] = record
    return found


def _built_again(ws: Workspace, records: dict[str, Record]) -> list[str]:
    """Return the components whose steps run again. Raises UsageError where there is none."""
    only = ws.settings.only
    names = [name for name in records if ws.plan.component(name).is_built]
    again = [name for name in names if not only or name == only]
    if not again:
        raise UsageError(
            f"{only or 'this stack'} is not built: it is used as it was unpacked.",
            where=f"only={only}" if only else "",
            fix=f"only= one of: {', '.join(names)}" if names else "",
        )
    return again


def _lay_out(ws: Workspace, place: "Place", records: dict[str, Record], again: list[str]) -> None:
    from strixforge.reproduce import place as places

    places.lay_out(place, ws.settings.home, local_sources(ws.plan), ws.settings.cache)
    for name, record in records.items():
        if name not in again:
            places.lend(place, ws.store, record)


def _say_before(
    ws: Workspace, again: list[str], records: dict[str, Record], second: "Second"
) -> None:
    """Say what will be built, what it will cost, and what is different."""
    from strixforge.reproduce.circumstances import NOT_VARIED
    from strixforge.reproduce.report import WIDTH, of_circumstances

    BOARD.say(_LABEL, f"builds again: {', '.join(again)}")
    seconds = sum(float(records[name].notes["seconds"]) for name in again)
    free = size_text(machine.disk(ws.settings.build))
    lines = [
        f"as long as the first time: {_duration(seconds)} in all",
        f"as much disk as the first time: {free} are free",
    ]
    BOARD.say("", "\n".join(lines))
    for cost in costs(ws.plan.component(name) for name in again):
        if cost.disk:
            BOARD.say("", f"{cost.name}: {size_text(cost.disk)} of disk, {cost.source}")
    BOARD.say("", "\n".join(["here -> elsewhere:", *of_circumstances(second.rows)]))
    same = textwrap.wrap(f"the same in both: {', '.join(NOT_VARIED)}", WIDTH)
    BOARD.say("", "\n".join(same))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _build(ws: Workspace, place: "Place", second: "Second", again: list[str]) -> None:
    """Run the second build; its lines about components are shown."""
    from strixforge.reproduce.second import run

    settings, only = ws.settings, ws.settings.only
    variables = {**settings.carried(place.store.root, place.cache), **settings.versions}
    names = set(again)

    def show(line: str) -> None:
        name, _, text = line.partition(" ")
        if name in names and not text.strip().startswith("log: "):
            BOARD.say(f"  {name}", text.strip())
        activity.line(line)

    with BOARD.activity(_LABEL) as activity:
        run(
            second,
            place.project,
            [f"{name}={text}" for name, text in variables.items()],
            [f"build_{only}" if only else "wheelhouse"],
            settings.build / "logs" / settings.stack / f"{_LABEL}.log",
            show,
        )


def _second_records(
    ws: Workspace, place: "Place", again: list[str], records: dict[str, Record]
) -> dict[str, Record]:
    """Return what the second build made. Raises IntegrityError where it was of something else."""
    found = {}
    for name in again:
        record = place.store.record(place.built(ws.plan.stack, name))
        if record is None:  # pragma: no cover - the second build ended well
            raise GateError(f"the second build made no {name}.")
        one, other = records[name].document, record.document
        changed = [key for key in one if one[key] != other.get(key)]
        if changed and one["needs"] == other["needs"]:
            raise IntegrityError(
                f"{name} was changed after this run began: {', '.join(changed)}.",
                where=str(place.project),
                cause="The second build was of something else, so nothing can be compared.",
                fix="Give the same command again.",
            )
        found[name] = record
    return found


def _say_after(report: "Report") -> None:
    """Say of each component, and of the wheelhouse, what came of it."""
    from strixforge.reproduce.report import of_circumstances, of_outcome

    BOARD.say(_LABEL, "\n".join(of_circumstances(report.circumstances[-2:])))
    for outcome in report.components:
        BOARD.say(outcome.name, "\n".join(of_outcome(outcome)))
    if report.wheelhouse:
        BOARD.say("wheelhouse", "differs\n" + "\n".join(f"  {one}" for one in report.wheelhouse))
    elif report.follows:
        count = len(report.follows)
        BOARD.say("wheelhouse", f"differs in {count} files, all because of the components above")
    elif report.wheelhouse is not None:
        BOARD.say("wheelhouse", "identical: SHA256SUMS names the same bytes")
    for one in report.useless:
        BOARD.say("warning", f"policy.toml lets {one} differ, and nothing of it does")


def _keep(ws: Workspace, place: "Place", report: "Report") -> None:
    """Free the disk of what is the same in both builds, and say where the rest lies."""
    from strixforge.reproduce.place import keep_only

    differing = [one for one in report.components if not one.identical]
    wheelhouse = ws.plan.stack if report.wheelhouse else None
    kept = keep_only(place, {one.second for one in differing}, wheelhouse)
    BOARD.say(_LABEL, "both outputs are kept for a look, here and elsewhere:")
    for one in differing:
        BOARD.say("", f"{ws.store.tree(one.first)}\n{place.store.tree(one.second)}")
    if kept is not None:
        BOARD.say("", f"{wheelhouse_place(ws)}\n{kept}")


def _explain(pairs: "list[Pair]", folder: Path) -> None:
    """Let diffoscope explain the files that differ, where it is installed."""
    from strixforge.reproduce.diffoscope import explain_all

    with BOARD.activity("diffoscope"):
        for written in explain_all(pairs, folder / "diffoscope"):
            BOARD.say("diffoscope", str(written))


def _refusal(ws: Workspace, report: "Report") -> NotReproducibleError:
    failed = [one.name for one in report.components if not one.accepted]
    if report.wheelhouse:
        failed.append("the wheelhouse")
    expired = any(d.expired for one in report.components for d in one.differences)
    return NotReproducibleError(
        f"{', '.join(failed)} came out differently in other circumstances.",
        where=str(ws.settings.build / "reproduce" / f"{ws.plan.stack}.json"),
        cause="Something that must not count was written into the output."
        + (" An exception of policy.toml has expired." if expired else ""),
        fix="docs/how-to/reproduce.md says what usually helps.",
    )
