"""The wheelhouse: whether it is current, collecting it, and how to use it."""

import shlex
from pathlib import Path

from strixforge.actions.fetching import fetch_runtime, runtime
from strixforge.model.errors import GateError
from strixforge.release.inputs import is_current, wheelhouse_inputs, write_state
from strixforge.store.lock import exclusive
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def wheelhouse_place(ws: Workspace) -> Path:
    """Return the folder of the stack's wheelhouse."""
    return ws.settings.build / "wheelhouse" / ws.plan.stack


def wheelhouse_lock(ws: Workspace) -> Path:
    """Return the file that is locked while the wheelhouse is made, or read as a whole."""
    return ws.settings.build / "state" / ws.plan.stack / "wheelhouse.lock"


def wheelhouse_current(ws: Workspace) -> bool:
    """Say whether the wheelhouse is there and made from what is built now."""
    records = {name: ws.status(name).record for name in ws.plan.closure(ws.plan.shipped())}
    known = {name: record for name, record in records.items() if record is not None}
    if len(known) < len(records):
        return False
    wanted = wheelhouse_inputs(ws.plan, known, runtime(ws).locked)
    return is_current(wheelhouse_place(ws), _state_file(ws), wanted)


def _state_file(ws: Workspace) -> Path:
    return ws.settings.build / "state" / ws.plan.stack / "wheelhouse" / "state.json"


def collect(ws: Workspace) -> None:
    """Collect the wheelhouse, and say where it is and what to type next."""
    from strixforge.release import wheelhouse

    records = {}
    for name in ws.plan.closure(ws.plan.shipped()):
        record = ws.status(name).record
        if record is None:
            raise GateError(f"{name} is not built.", fix=f"./doit build_{name}")
        records[name] = record
        ws.check_toolchain(name, ws.store.tree(record.output))
    fetch_runtime(ws)
    place = wheelhouse_place(ws)
    waited: list[bool] = []

    def wait() -> None:
        waited.append(True)
        BOARD.say("wheelhouse", "another run collects; waiting")

    needed = runtime(ws).locked
    with exclusive(wheelhouse_lock(ws), wait), BOARD.activity("wheelhouse"):
        if waited and wheelhouse_current(ws):
            BOARD.say("wheelhouse", f"made by the other run: {place}")
            return
        made = wheelhouse.collect(ws.plan, records, needed, ws.store, ws.cache, place)
        write_state(place, _state_file(ws), wheelhouse_inputs(ws.plan, records, needed))
    counts = wheelhouse.summary(made.items)
    BOARD.say(
        "wheelhouse",
        f"{_count(counts['wheels'], 'wheel', 'wheels')} and "
        f"{_count(counts['prefixes'], 'prefix', 'prefixes')}, "
        f"{counts['bytes'] / 1e6:.1f} MB: {place}",
    )
    BOARD.say("gates", made.gates.summary())
    for warning in made.gates.warnings:
        BOARD.say("warning", warning)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def say_next(ws: Workspace) -> None:
    """Tell how to use the wheelhouse."""
    place = wheelhouse_place(ws)
    BOARD.write(
        f"\nThe wheelhouse of stack {ws.plan.stack} is complete. Install it, with no network:\n"
        f"  {shlex.quote(str(place / 'install.sh'))} ~/strixforge-{ws.plan.stack}\n"
        f"  . ~/strixforge-{ws.plan.stack}/activate.sh"
    )
