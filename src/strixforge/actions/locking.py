"""`doit lock`: writes what is not pinned yet; `doit lock --check` asks again what is."""

import functools
from collections.abc import Callable

from strixforge import pinning, relock
from strixforge.model.errors import (
    FetchError,
    IntegrityError,
    StrixforgeError,
    UnpinnedError,
    UsageError,
)
from strixforge.model.pins import UNRESOLVED, AptPin, ArchivePin, GitPin, IndexPin
from strixforge.plan.graph import Component
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def lock(ws: Workspace, check: bool = False, move: bool = False) -> None:  # noqa: FBT002 - doit hands over its options
    """Resolve what the stack leaves open, and write it down; with `check`, prove the pins again."""
    if check or move:
        _check(ws, move=move)
        return
    troubles: list[str] = []
    refused: list[StrixforgeError] = []
    for name in relock.lock_patches(ws.settings.home, ws.lock):
        BOARD.say("patches", f"locked anew: {name}")
    for name, component in ws.plan.components.items():
        _try(troubles, refused, name, functools.partial(_lock_pin, ws, component))
    for name, texts in relock.requirement_locks(ws).items():
        _try(troubles, refused, name, functools.partial(_lock_requirements, ws, name, texts))
    again = f"./doit {ws.settings.words()}"
    if refused:
        raise refused[0]  # what was not as it should be is told before what was not there
    if troubles:
        raise FetchError(
            f"{len(troubles)} of the pins and requirements could not be resolved; the rest is.",
            where="\n".join(troubles),
            cause="No network, a host that is down, or something that was removed or renamed.",
            fix=f"{again}lock    (tries these again)\n{again}plan    (shows what is not resolved)",
        )
    BOARD.say("lock", f"next: look at `git diff`, then {again}explain")


def _try(
    troubles: list[str], refused: list[StrixforgeError], name: str, action: Callable[[], None]
) -> None:
    """Do one thing; what cannot be reached does not keep the others from being locked."""
    try:
        action()
    except (IntegrityError, UsageError) as error:
        BOARD.say(name, f"not resolved: {error.what}")
        refused.append(error)
    except FetchError as error:
        BOARD.say(name, f"not resolved: {error.what}")
        troubles.append(f"{name}: {error.what}" + (f" ({_more(error)})" if _more(error) else ""))


def _more(error: StrixforgeError) -> str:
    """Return where and why, in one line."""
    return "; ".join(filter(None, (error.where, error.cause))).replace("\n", " ")


def _lock_pin(ws: Workspace, component: Component) -> None:
    pin, name = component.pin, component.name
    if isinstance(pin, GitPin) and pin.commit == UNRESOLVED:
        with BOARD.activity(name):
            commit = pinning.lock_commit(ws, pin)
        BOARD.say(name, f"{pin.ref} is commit {commit}")
    elif isinstance(pin, ArchivePin) and pin.sha256 == UNRESOLVED:
        with BOARD.activity(name) as activity:
            sha256 = pinning.lock_archive(ws, pin, activity.progress)
        BOARD.say(name, f"sha256 {sha256}")
        commit = pinning.archive_commit(ws, sha256)
        if commit:
            BOARD.say("", f"the archive says that it was made from commit {commit}")
        BOARD.say("", "trusted on first use: nobody published this hash. Compare it with another")
        BOARD.say("", "machine's, or with what others pinned, before you commit it.")
    elif isinstance(pin, IndexPin) and pin.sha256 == UNRESOLVED:
        raise FetchError(
            f"{name} {pin.version} has no sha256.",
            where=f"{ws.lock.file}: {name}",
            cause="An index has several files of a version; which one is meant is not written.",
        )
    elif isinstance(pin, AptPin):
        packages, changed = relock.lock_packages(ws, component)
        state = "locked anew" if changed else "unchanged"
        size = f"{len(packages.package)} packages, {packages.bytes() / 1e6:.0f} MB"
        BOARD.say(name, f"{state}: {size}, dependencies found by {packages.resolver}")


def _lock_requirements(ws: Workspace, name: str, texts: tuple[str, ...]) -> None:
    changed = relock.lock_requirements(ws, name, texts)
    BOARD.say(name, "requirements locked anew" if changed else "requirements unchanged")


def _check(ws: Workspace, *, move: bool) -> None:
    """Ask every pin's source again. Raises IntegrityError where one moved, else FetchError."""
    other: list[str] = []
    moved: dict[str, GitPin] = {}
    silent: list[str] = []
    is_open = False
    for name, component in ws.plan.components.items():
        try:
            with BOARD.activity(name) as activity:
                said = pinning.check_pin(ws, component.pin, activity.progress)
        except StrixforgeError as error:
            BOARD.say(name, error.what)
            told = f"{name}: {error.what}" + (f" ({_more(error)})" if _more(error) else "")
            is_open = is_open or isinstance(error, UnpinnedError)
            (other if isinstance(error, IntegrityError) else silent).append(told)
            continue
        BOARD.say(name, said or "nothing to ask")
        if said.startswith(pinning.MOVED):
            if move and isinstance(component.pin, GitPin):
                moved[name] = component.pin
            else:
                other.append(f"{name}: {said}")
    again = f"./doit {ws.settings.words()}"
    if other:
        raise IntegrityError(
            f"{len(other)} of the pins of stack {ws.plan.stack} are not as they were.",
            where="\n".join([*other, *silent]),
            cause="A tag was moved, or a file was replaced. The old pins are kept.",
            fix=f"Find out why; then, if a moved tag is to be followed:\n{again}lock --move",
        )
    if silent:
        raise FetchError(
            f"{len(silent)} of the pins of stack {ws.plan.stack} could not be proved.",
            where="\n".join(silent),
            cause="No network, a host that is down, something that was removed, or not resolved.",
            fix=(f"{again}lock    (resolves what is open)\n" if is_open else "")
            + f"{again}lock --check    (where the network has these hosts)",
        )
    for name, pin in moved.items():  # now that nothing else is wrong
        BOARD.say(name, f"moved to commit {pinning.lock_commit(ws, pin)}")
    if moved:
        BOARD.say("lock", f"next: look at `git diff`, then {again}lock")
    else:
        BOARD.say("lock", "every pin is what it was")
