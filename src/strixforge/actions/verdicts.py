"""What a verdict leads to: one night at a time, what is begun is finished, and told."""

import contextlib
import datetime as dt
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from strixforge.actions.releases import place_of
from strixforge.model.errors import (
    HostError,
    IntegrityError,
    QuarantinedError,
    UsageError,
    class_of,
)
from strixforge.nightly import generations
from strixforge.nightly.candidate import Candidate, project_digest
from strixforge.nightly.feed import Entry, append, read_feed
from strixforge.pinning import replace
from strixforge.store.lock import exclusive
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


class Intent(msgspec.Struct, frozen=True):
    """What is about to be done: a run that was killed is finished by the next one."""

    action: Literal["promote", "roll back"]
    entry: Entry


def candidate_of(ws: Workspace, place: Path, release: str) -> Candidate:
    """Return the candidate of a release with this checkout, whether it was tried or not."""
    state = project_digest(ws.settings.home, ws.plan)[:8]
    return Candidate(release, place / "nights" / f"{release}-{state}")


def against(place: Path, candidate: Candidate) -> Candidate | None:
    """Return what is promoted, for a candidate to be held against; None where it is the same."""
    now = generations.promoted(place)
    if now is None or now.night == candidate.name:
        return None
    return Candidate(now.night.rpartition("-")[0], place / "nights" / now.night)


def conclude(place: Path, entry: Entry) -> Entry:
    """Promote what passed, and write down what became of it."""
    if entry.verdict == "promoted":
        return carry_out(place, Intent("promote", entry))
    return append(place / "feed.json", entry)


def carry_out(place: Path, intent: Intent) -> Entry:
    """Do what is meant, so that a kill leaves it undone or to be finished. Returns the entry."""
    file = place / "intent.json"
    staged = file.with_suffix(".new")
    with staged.open("wb") as new:
        new.write(msgspec.json.encode(intent))
        new.flush()
        os.fsync(new.fileno())
    staged.replace(file)
    return _finish(place, intent)


def _finish(place: Path, intent: Intent) -> Entry:
    """Do what is left of an intent: each step is one rename, and may be done already."""
    now = generations.promoted(place)
    is_there = now is not None and now.night == intent.entry.night
    if intent.action == "promote" and not is_there:
        generations.promote(place, intent.entry.night)
    elif intent.action == "roll back" and is_there:
        generations.roll_back(place)
    entry, feed = intent.entry, place / "feed.json"
    same = [one for one in read_feed(feed) if _unchained(one) == _unchained(entry)]
    written = same[-1] if same else append(feed, entry)
    (place / "intent.json").unlink()
    return written


def _unchained(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, previous="")


@contextmanager
def alone(ws: Workspace) -> Iterator[Path]:
    """Hold the lock of the stack's nights, and finish what a killed run began.

    Raises HostError where another run holds it, UsageError where another version was chosen.
    """
    if ws.settings.versions:
        chosen = ", ".join(f"{name}={text}" for name, text in ws.settings.versions.items())
        raise UsageError(
            f"nights take the first pin of each component; {chosen} chooses another.",
            where="command line, or environment",
            fix="Leave it out, or put that pin first in the lock.",
        )
    place = place_of(ws)

    def busy() -> None:
        raise HostError(
            f"another night of stack {ws.plan.stack} is under way.",
            where=str(place / "night.lock"),
            cause="Two at once would judge the same release twice.",
            fix="Wait for its end; it needs nothing from you.",
        )

    with exclusive(place / "night.lock", busy):
        try:
            left = msgspec.json.decode((place / "intent.json").read_bytes(), type=Intent)
        except FileNotFoundError:
            left = None
        if left is not None:
            BOARD.say("nightly", f"finishing what was begun: {left.action} {left.entry.night}")
            _finish(place, left)
        generations.clear(place)
        try:
            yield place
        finally:
            with contextlib.suppress(IntegrityError):  # of the feed; who read it has told
                _show(ws, place)


def _show(ws: Workspace, place: Path) -> None:
    """Write the page of the feed, where there is one."""
    from strixforge.nightly.page import page

    entries, now = read_feed(place / "feed.json"), generations.promoted(place)
    if entries:
        night = now.night if now is not None else ""
        replace(place / "feed.html", page(entries, ws.plan.stack, ws.plan.arch, night))


def say_verdict(ws: Workspace, entry: Entry) -> None:
    """Say what became of a candidate. Raises what the run ends with, where it was not promoted."""
    place = place_of(ws)
    if entry.verdict == "promoted":
        BOARD.say("promoted", f"{entry.night}: {place / 'promoted'}")
        link = place / "promoted"
        use = f". {shlex.quote(str(link / 'prefix' / 'activate.sh'))}"
        install = f"{link / 'wheelhouse' / 'install.sh'} ~/strixforge-{ws.plan.stack}"
        first = f"Use it:\n  {use}\n" if (link / "prefix").is_dir() else ""
        BOARD.write(
            f"\n{first}Install it elsewhere, with no network:\n  {install}\n"
            f"Go back:\n  ./doit {ws.settings.words()}rollback"
        )
        return
    if entry.cause is None:  # pragma: no cover - only what is promoted has none
        return
    now = generations.promoted(place)
    is_bad = entry.verdict == "quarantined"
    kind = QuarantinedError if is_bad else class_of(entry.cause.code) or HostError
    raise kind(
        f"{entry.release} is {entry.verdict}, in stage {entry.cause.stage}.",
        where=f"{entry.cause.what}\nlog: {place / 'nights' / entry.night / 'log'}",
        cause=f"Still promoted: {now.night if now else 'nothing'}.",
        fix=_next(ws, entry),
    )


def _next(ws: Workspace, entry: Entry) -> str:
    if entry.verdict == "postponed":
        return "Mend that. The same command tries it again, and so does the next night."
    if entry.cause is not None and entry.cause.stage == "kernels":
        again = f"./doit {ws.settings.words()}release={entry.release} promote"
        return f"Nothing: the next night tries a newer one.\n{again}    (takes it all the same)"
    return "Nothing: the next night tries a newer one."


def moment() -> str:
    """Return the present time as the feed has it: UTC, ISO 8601, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
