"""`doit promote` and `doit rollback`: what a person takes, and what a person goes back from."""

from pathlib import Path

import msgspec

from strixforge.actions.freeing import free_after_night
from strixforge.actions.judging import judge
from strixforge.actions.verdicts import (
    Intent,
    against,
    alone,
    candidate_of,
    carry_out,
    conclude,
    moment,
    say_verdict,
)
from strixforge.model.errors import DataError, UsageError
from strixforge.nightly import generations
from strixforge.nightly.candidate import followed
from strixforge.nightly.feed import Cause, Entry, Toolchain, read_feed
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

_PERSON = "person"


def promote(ws: Workspace) -> None:
    """Promote the stack as the lock has it, or a release that was tried before: `release=`."""
    with alone(ws) as place:
        pin = followed(ws.plan)
        archive, release = _wanted(ws, place)
        candidate = candidate_of(ws, place, release)
        now = generations.promoted(place)
        if now is not None and now.night == candidate.name:
            BOARD.say("promote", f"{candidate.name} is promoted already")
            return
        if candidate.name in generations.kept(place):
            # It lies there as it was proved; what rollback goes back to is never built over.
            done = carry_out(place, Intent("promote", _again(place, candidate.name)))
            say_verdict(ws, done)
            return
        entry = judge(
            ws,
            candidate,
            pin,
            archive,
            channel="by hand",
            against=against(place, candidate),
            by_hand=True,
        )
        done = conclude(place, entry)
        free_after_night(ws, place)
    say_verdict(ws, done)


def _again(place: Path, night: str) -> Entry:
    """Return the entry of a promotion, for the same one at another time."""
    entries = read_feed(place / "feed.json")
    old = [one for one in entries if one.night == night and one.verdict == "promoted"][-1]
    return msgspec.structs.replace(old, time=moment(), seconds={})


def _wanted(ws: Workspace, place: Path) -> tuple[Toolchain, str]:
    """Return the archive and the version that a person wants to promote."""
    pin = followed(ws.plan)
    release = ws.settings.release
    if not release or release == pin.version:
        sha256 = "" if pin.sha256 == "unresolved" else pin.sha256
        return Toolchain(pin.url, sha256), pin.version
    tried = [one for one in read_feed(place / "feed.json") if one.release == release]
    archives = [one.toolchain for one in tried if one.toolchain and one.toolchain.sha256]
    if not archives:
        known = sorted({one.release for one in read_feed(place / "feed.json")})
        raise UsageError(
            f"release {release} was not tried yet.",
            where=f"{place / 'feed.json'}",
            cause=f"Tried: {', '.join(known) or 'none'}.",
            fix="./doit nightly    (tries the newest)",
        )
    return archives[-1], release


def rollback(ws: Workspace) -> None:
    """Go back to what was promoted before. Builds nothing, and asks no network."""
    with alone(ws) as place:
        now = generations.promoted(place)
        if now is None or now.previous is None:
            raise UsageError(
                "there is nothing to go back to.",
                where=str(place),
                cause="Only one candidate was promoted." if now else "None was promoted.",
                fix="./doit nightly",
            )
        entries = [one for one in read_feed(place / "feed.json") if one.night == now.night]
        if not entries:  # pragma: no cover - a promotion is in the feed, or finished above
            raise DataError("the feed does not know what is promoted.", where=str(place))
        entry = msgspec.structs.replace(
            entries[-1],
            time=moment(),
            verdict="rolled back",
            cause=Cause(_PERSON, 0, "A person went back to what was promoted before."),
        )
        carry_out(place, Intent("roll back", entry))
        back = generations.promoted(place)
    BOARD.say("rollback", f"from {now.night} to {back.night if back else 'nothing'}")
    BOARD.say("", f"{place / 'promoted'}\n{now.night} is not tried again by itself")
