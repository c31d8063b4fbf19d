"""The bundle: whether it is current, writing it, and what to type on the other machine."""

import shlex
from pathlib import Path

from strixforge.actions.collecting import wheelhouse_lock, wheelhouse_place
from strixforge.store.lock import exclusive
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def bundle_place(ws: Workspace) -> Path:
    """Return where the stack's bundle lies."""
    return ws.settings.build / "bundle" / f"strixforge-{ws.plan.stack}-{ws.plan.arch}.tar"


def _state_file(ws: Workspace) -> Path:
    return ws.settings.build / "state" / ws.plan.stack / "bundle" / f"{ws.plan.arch}.json"


def bundle_current(ws: Workspace) -> bool:
    """Say whether the bundle is there and made from the wheelhouse that is there now."""
    from strixforge.release.bundle import is_current

    return is_current(wheelhouse_place(ws), bundle_place(ws), _state_file(ws))


def bundle(ws: Workspace) -> None:
    """Write the bundle, and say how it is used. Raises IntegrityError for a changed wheelhouse."""
    from strixforge.release.bundle import write_bundle, write_state

    wheelhouse, place = wheelhouse_place(ws), bundle_place(ws)
    epoch = max(ws.plan.component(name).pin.epoch for name in ws.plan.shipped())

    def wait() -> None:
        BOARD.say("bundle", "another run collects or bundles; waiting")

    with exclusive(wheelhouse_lock(ws), wait), BOARD.activity("bundle"):
        made = write_bundle(wheelhouse, place, epoch)
        write_state(wheelhouse, place, _state_file(ws))
    BOARD.say("bundle", f"{made.size / 1e6:.1f} MB: {place}\nsha256 {made.sha256}")
    name, prefix = shlex.quote(place.name), f"~/strixforge-{ws.plan.stack}"
    BOARD.write(
        f"\nCarry it and {name}.sha256 to the other machine. There, with no network:\n"
        f"  sha256sum -c {name}.sha256\n"
        f"  tar -xf {name}\n"
        f"  {shlex.quote(place.stem)}/install.sh {prefix}\n"
        f"  . {prefix}/activate.sh\n"
        f"At any later time:\n"
        f"  {prefix}/env/bin/strixforge-verify"
    )
