"""`doit nightly`: the newest release that may be, tried once, and told."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from strixforge.actions.freeing import free_after_night
from strixforge.actions.judging import judge
from strixforge.actions.releases import channel_of, place_of, refused, say_found
from strixforge.actions.verdicts import (
    against,
    alone,
    candidate_of,
    conclude,
    moment,
    say_verdict,
)
from strixforge.model.errors import InterruptedRunError, StrixforgeError
from strixforge.nightly import generations
from strixforge.nightly.at_end import run_at_end
from strixforge.nightly.candidate import Candidate, checkout, followed
from strixforge.nightly.feed import Cause, Entry, Toolchain, append, read_feed
from strixforge.nightly.versions import order, parse
from strixforge.pinning import replace
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

if TYPE_CHECKING:
    from strixforge.nightly.discover import Release


def nightly(ws: Workspace) -> None:
    """Try the newest release that may be and was not judged yet, and promote it if it passes.

    Raises DiscoveryError, QuarantinedError, or what kept it from being judged.
    """
    said, begun = "failed", False
    try:
        with alone(ws) as place:
            begun = True
            entry = _night(ws, place)
            free_after_night(ws, place)
        said = entry.verdict if entry is not None else "nothing new"
        if entry is not None:
            say_verdict(ws, entry)
    except InterruptedRunError:
        begun = False
        raise
    except StrixforgeError as error:
        said = error.title.lower() if said == "failed" else said
        raise
    finally:
        if begun:
            _then(ws, said)


def _night(ws: Workspace, place: Path) -> Entry | None:
    from strixforge.nightly.discover import discover

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
    candidate = candidate_of(ws, place, str(release.version))
    entry = judge(
        ws, candidate, pin, archive, channel=channel.name, against=against(place, candidate)
    )
    return conclude(place, entry)


def _chosen(
    ws: Workspace, place: Path, releases: "tuple[Release, ...]", channel: str
) -> "Release | None":
    """Return the newest release that is not judged yet; those that policy refuses are told."""
    pin = followed(ws.plan)
    entries = read_feed(place / "feed.json")
    judged = {one.night for one in entries if one.verdict != "postponed"}
    told = {(one.release, one.cause.what) for one in entries if one.cause is not None}
    now = generations.promoted(place)
    oldest = parse(now.night.rpartition("-")[0]) if now is not None else None
    for one in releases:
        version = str(one.version)
        candidate = candidate_of(ws, place, version)
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
    ws: Workspace, candidate: Candidate, refusal: StrixforgeError, release: "Release", channel: str
) -> Entry:
    listed = release.entry.published
    pin = followed(ws.plan)
    return Entry(
        night=candidate.name,
        time=moment(),
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


def _then(ws: Workspace, said: str) -> None:
    """Write the summary, and run the user's command."""
    place = place_of(ws)
    entries = read_feed(place / "feed.json")
    now = generations.promoted(place)
    summary = {
        "time": moment(),
        "stack": ws.plan.stack,
        "said": said,
        "promoted": now.night if now else None,
        "last": msgspec.to_builtins(entries[-1]) if entries else None,
    }
    path = place / "summary.json"
    replace(path, msgspec.json.format(msgspec.json.encode(summary), indent=1).decode())
    if not ws.settings.then:
        return
    told = {"NIGHTLY_SAID": said, "NIGHTLY_SUMMARY": str(path)}
    if fault := run_at_end(ws.settings.then, place, told):
        BOARD.say("warning", f"the command of then= {fault}")
