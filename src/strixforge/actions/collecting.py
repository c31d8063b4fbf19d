"""The wheelhouse: whether it is current, collecting it, and how to use it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from strixforge.actions.fetching import fetch_runtime, runtime
from strixforge.model.errors import GateError
from strixforge.release.inputs import is_current, wheelhouse_inputs, write_state
from strixforge.store.lock import exclusive
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

if TYPE_CHECKING:
    from strixforge.release.wheelhouse import Collected


def wheelhouse_place(ws: Workspace) -> Path:
    """Return the folder of the stack's wheelhouse."""
    return ws.settings.build / "wheelhouse" / ws.plan.stack


def wheelhouse_lock(ws: Workspace) -> Path:
    """Return the file that is locked while the wheelhouse is made, or read as a whole."""
    return ws.settings.build / "state" / ws.plan.stack / "wheelhouse.lock"


def wheelhouse_current(ws: Workspace) -> bool:
    """Say whether the wheelhouse is there, made from what is built now, and signed if asked for."""
    return _collected(ws) and _signed(ws)


def _signed(ws: Workspace) -> bool:
    """Say whether the wheelhouse is signed with the user's key. True where none is given."""
    if ws.settings.sign_with is None:
        return True
    from strixforge.attest.signing import signer
    from strixforge.release.signature import is_signed

    return is_signed(wheelhouse_place(ws), signer(ws.settings.sign_with))


def _collected(ws: Workspace) -> bool:
    records = {name: ws.status(name).record for name in ws.plan.closure(ws.plan.shipped())}
    known = {name: record for name, record in records.items() if record is not None}
    if len(known) < len(records):
        return False
    wanted = wheelhouse_inputs(ws.plan, known, runtime(ws).locked)
    return is_current(wheelhouse_place(ws), _state_file(ws), wanted)


def _state_file(ws: Workspace) -> Path:
    return ws.settings.build / "state" / ws.plan.stack / "wheelhouse" / "state.json"


def collect(ws: Workspace) -> None:
    """Collect the wheelhouse where it is not current, sign it if asked to, and say so."""
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
        made = None
        if _collected(ws):
            by = "made by the other run" if waited else "as it was"
            BOARD.say("wheelhouse", f"{by}: {place}")
        else:
            made = wheelhouse.collect(ws.plan, records, needed, ws.store, ws.cache, place)
        signed = _sign(ws)
        write_state(place, _state_file(ws), wheelhouse_inputs(ws.plan, records, needed))
    if made is not None:
        _say_collected(made, place)
    BOARD.say("signature", signed)


def _sign(ws: Workspace) -> str:
    """Sign the wheelhouse if asked to. Returns what there is to say of its signature."""
    from strixforge.attest.signing import signer
    from strixforge.release.signature import sign_wheelhouse
    from strixforge.release.sums import SIGNATURE

    place = wheelhouse_place(ws)
    if ws.settings.sign_with is not None:
        key = signer(ws.settings.sign_with)
        sign_wheelhouse(place, key)
        return f"made with key {key.public_key.keyid}"
    if (place / SIGNATURE).exists():
        return f"there is one: ./doit {ws.settings.words()}verify    (says whose)"
    return (
        "none: nobody vouches for this wheelhouse. With a key of your own:\n"
        f"./doit {ws.settings.words()}sign_with=KEY wheelhouse    (docs/how-to/sign-and-verify.md)"
    )


def _say_collected(made: "Collected", place: Path) -> None:
    from strixforge.release import wheelhouse

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
