"""`doit nightly`, `promote` and `rollback`: one release tried, what was proved kept, and back."""

import datetime as dt
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from strixforge.actions.freeing import free_after_night
from strixforge.actions.judging import judge
from strixforge.actions.releases import channel_of, place_of, refused, say_found
from strixforge.model.errors import (
    DataError,
    HostError,
    InterruptedRunError,
    QuarantinedError,
    StrixforgeError,
    UsageError,
    class_of,
)
from strixforge.nightly import generations
from strixforge.nightly.candidate import Candidate, checkout, followed, project_digest
from strixforge.nightly.discover import Release, discover
from strixforge.nightly.feed import Cause, Entry, Toolchain, append, read_feed
from strixforge.nightly.versions import order, parse
from strixforge.store.lock import exclusive
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

_THEN_SECONDS = 600
_PERSON = "person"


class _Intent(msgspec.Struct, frozen=True):
    """What is about to be done: a run that was killed is finished by the next one."""

    action: Literal["promote", "roll back"]
    entry: Entry


def nightly(ws: Workspace) -> None:
    """Try the newest release that may be and was not judged yet, and promote it if it passes.

    Raises DiscoveryError, QuarantinedError, or what kept it from being judged.
    """
    said, begun = "nothing new", False
    try:
        with _alone(ws) as place:
            begun = True
            entry = _night(ws, place)
            free_after_night(ws, place)
        if entry is not None:
            said = entry.verdict
            _say_verdict(ws, entry)
    except InterruptedRunError:
        begun = False
        raise
    except StrixforgeError as error:
        said = said if said != "nothing new" else error.title.lower()
        raise
    finally:
        if begun:
            _then(ws, said)


def _night(ws: Workspace, place: Path) -> Entry | None:
    pin = followed(ws.plan)
    channel = channel_of(ws)
    with BOARD.activity("releases"):
        found = discover(channel, ws.plan.arch)
    say_found(ws, found)
    release = _chosen(ws, place, found.releases, channel.name)
    if release is None:
        now = generations.promoted(place)
        BOARD.say("nightly", f"nothing new to try; promoted: {now.night if now else 'nothing yet'}")
        return None
    listed = release.entry.published
    archive = Toolchain(release.entry.url, published=listed.isoformat() if listed else "")
    candidate = _candidate(ws, place, str(release.version))
    entry = judge(
        ws, candidate, pin, archive, channel=channel.name, against=_against(place, candidate)
    )
    return _conclude(place, entry)


def _chosen(
    ws: Workspace, place: Path, releases: tuple[Release, ...], channel: str
) -> Release | None:
    """Return the newest release that is not judged yet; those that policy refuses are told."""
    pin = followed(ws.plan)
    entries = read_feed(place / "feed.json")
    judged = {one.night for one in entries if one.verdict != "postponed"}
    told = {(one.release, one.cause.what) for one in entries if one.cause is not None}
    now = generations.promoted(place)
    oldest = parse(now.night.rpartition("-")[0]) if now is not None else None
    for one in releases:
        version = str(one.version)
        candidate = _candidate(ws, place, version)
        if oldest is not None and order(one.version) < order(oldest):
            break
        refusal = refused(ws, pin.component, one.version, one.entry.url)
        if refusal is not None:
            if (version, str(refusal)) not in told:
                BOARD.say("refused", f"{version}: {refusal.what}")
                append(place / "feed.json", _refusal(ws, candidate, refusal, one, channel))
        elif now is not None and candidate.name == now.night:
            break
        elif candidate.name not in judged:
            return one
    return None


def _refusal(
    ws: Workspace, candidate: Candidate, refusal: StrixforgeError, release: Release, channel: str
) -> Entry:
    listed = release.entry.published
    pin = followed(ws.plan)
    return Entry(
        night=candidate.name,
        time=_now(),
        stack=ws.plan.stack,
        arch=ws.plan.arch,
        channel=channel,
        release=candidate.release,
        verdict="refused",
        cause=Cause("policy", refusal.exit_code, str(refusal)),
        pins=ws.plan.versions() | {pin.component: candidate.release},
        toolchain=Toolchain(release.entry.url, published=listed.isoformat() if listed else ""),
        checkout=checkout(ws.settings.home),
    )


def promote(ws: Workspace) -> None:
    """Promote the stack as the lock has it, or a release that was tried before: `release=`."""
    with _alone(ws) as place:
        pin = followed(ws.plan)
        archive, release = _wanted(ws, place)
        candidate = _candidate(ws, place, release)
        now = generations.promoted(place)
        if now is not None and now.night == candidate.name:
            BOARD.say("promote", f"{candidate.name} is promoted already")
            return
        entry = judge(
            ws,
            candidate,
            pin,
            archive,
            channel="by hand",
            against=_against(place, candidate),
            by_hand=True,
        )
        done = _conclude(place, entry)
        free_after_night(ws, place)
    _say_verdict(ws, done)


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
    with _alone(ws) as place:
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
            time=_now(),
            verdict="rolled back",
            cause=Cause(_PERSON, 0, "A person went back to what was promoted before."),
        )
        _carry_out(place, _Intent("roll back", entry))
        back = generations.promoted(place)
    BOARD.say("rollback", f"from {now.night} to {back.night if back else 'nothing'}")
    BOARD.say("", f"{place / 'promoted'}\n{now.night} is not tried again by itself")


def _candidate(ws: Workspace, place: Path, release: str) -> Candidate:
    state = project_digest(ws.settings.home, ws.plan)[:8]
    return Candidate(release, place / "nights" / f"{release}-{state}")


def _against(place: Path, candidate: Candidate) -> Candidate | None:
    now = generations.promoted(place)
    if now is None or now.night == candidate.name:
        return None
    return Candidate(now.night.rpartition("-")[0], place / "nights" / now.night)


def _conclude(place: Path, entry: Entry) -> Entry:
    """Promote what passed, and write down what became of it."""
    if entry.verdict == "promoted":
        return _carry_out(place, _Intent("promote", entry))
    return append(place / "feed.json", entry)


def _carry_out(place: Path, intent: _Intent) -> Entry:
    file = place / "intent.json"
    staged = file.with_suffix(".new")
    with staged.open("wb") as new:
        new.write(msgspec.json.encode(intent))
        new.flush()
        os.fsync(new.fileno())
    staged.replace(file)
    return _finish(place, intent)


def _finish(place: Path, intent: _Intent) -> Entry:
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
def _alone(ws: Workspace) -> Iterator[Path]:
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
            left = msgspec.json.decode((place / "intent.json").read_bytes(), type=_Intent)
        except FileNotFoundError:
            left = None
        if left is not None:
            BOARD.say("nightly", f"finishing what was begun: {left.action} {left.entry.night}")
            _finish(place, left)
        generations.clear(place)
        yield place


def _say_verdict(ws: Workspace, entry: Entry) -> None:
    """Say what became of a candidate. Raises what the run ends with, where it was not promoted."""
    place = place_of(ws)
    if entry.verdict == "promoted":
        BOARD.say("promoted", f"{entry.night}: {place / 'promoted'}")
        BOARD.write(
            f"\nInstall it, with no network:\n  {place / 'promoted' / 'wheelhouse' / 'install.sh'} "
            f"~/strixforge-{ws.plan.stack}\nGo back:  ./doit {ws.settings.words()}rollback"
        )
        return
    if entry.cause is None:  # pragma: no cover - only what is promoted has none
        return
    now = generations.promoted(place)
    kind = QuarantinedError
    if entry.verdict != "quarantined":
        kind = class_of(entry.cause.code) or HostError  # type: ignore[assignment]
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


def _then(ws: Workspace, said: str) -> None:
    """Write the summary, and run the user's command."""
    place = place_of(ws)
    entries = read_feed(place / "feed.json")
    now = generations.promoted(place)
    summary = {
        "time": _now(),
        "stack": ws.plan.stack,
        "said": said,
        "promoted": now.night if now else None,
        "last": msgspec.to_builtins(entries[-1]) if entries else None,
    }
    path = place / "summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".new")
    staged.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=1))
    staged.replace(path)
    if not ws.settings.then:
        return
    told = {"NIGHTLY_SAID": said, "NIGHTLY_SUMMARY": str(path)}
    try:
        done = subprocess.run(
            ["sh", "-c", ws.settings.then],
            env=os.environ | told,
            timeout=_THEN_SECONDS,
            check=False,
            cwd=place,
        )
        if done.returncode:
            BOARD.say("warning", f"the command of then= ended with {done.returncode}")
    except subprocess.TimeoutExpired:
        BOARD.say("warning", f"the command of then= took more than {_THEN_SECONDS} s")


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
