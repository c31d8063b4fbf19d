"""`doit releases`: what TheRock has released for the GPU, and what the policy says of each."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from strixforge.model.channels import Channel, load_channels
from strixforge.model.errors import PolicyError, UsageError
from strixforge.nightly import generations
from strixforge.nightly.candidate import followed
from strixforge.policy import in_choice, in_location
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

if TYPE_CHECKING:
    from strixforge.nightly.discover import Found

_SHOWN = 12


def releases(ws: Workspace) -> None:
    """Show the newest releases of the stack's channel. Raises DiscoveryError."""
    from strixforge.nightly.discover import discover

    component = followed(ws.plan).component
    channel = channel_of(ws)
    with BOARD.activity("releases"):
        found = discover(channel, ws.plan.arch)
    say_found(ws, found)
    now = generations.promoted(place_of(ws))
    for one in found.releases[:_SHOWN]:
        refusal = refused(ws, component, one.version, one.entry.url)
        marks = [
            f"refused: {refusal.what}" if refusal else "",
            "promoted" if now and now.night.rpartition("-")[0] == str(one.version) else "",
            "pinned" if str(one.version) == ws.plan.component(component).pin.version else "",
        ]
        size = f"{one.entry.size / 1e6:.0f} MB" if one.entry.size else ""
        parts = [f"{one.kind:<8}", str(one.published or "no date"), size, *marks]
        BOARD.say(f"  {one.version}", "  ".join(filter(None, parts)))
    if len(found.releases) > _SHOWN:
        BOARD.say("", f"and {len(found.releases) - _SHOWN} older ones")
    BOARD.write(f"next:  ./doit {ws.settings.words()}nightly    (tries the newest that may be)")


def channel_of(ws: Workspace) -> Channel:
    """Return the channel that is followed. Raises UsageError where none is named."""
    channels = load_channels(ws.settings.home / "channels.toml")
    if not ws.settings.channel:
        raise UsageError(
            f"stack {ws.plan.stack} follows no channel.",
            where=f"{ws.lock.file}: stack.{ws.plan.stack}.channel",
            fix=f"channel= one of: {', '.join(channels.channels)}",
        )
    return channels.named(ws.settings.channel, where="channel")


def say_found(ws: Workspace, found: "Found") -> None:
    """Say where was looked, and what there is to know of the index itself."""
    number = len(found.releases)
    BOARD.say(
        "releases", f"channel {found.channel.name}, {number} for {ws.plan.arch}: "
        f"{found.channel.index}"
    )  # fmt: skip
    if stale := found.stale(dt.datetime.now(dt.UTC).date()):
        BOARD.say("warning", stale)
    if found.elsewhere:
        BOARD.say("", f"{found.elsewhere[0]} is there, and has no file for {ws.plan.arch}")


def refused(ws: Workspace, component: str, version: Version, url: str) -> PolicyError | None:
    """Return why the policy does not let a release in, or None. It asks no network."""
    place = f"release {version}"
    try:
        ws.policy.check([*in_choice({component: str(version)}, place), *in_location(url, url)])
    except PolicyError as refusal:
        return refusal
    versions = {**ws.plan.versions(), component: str(version)}
    # What depends on this machine's kernel is for the machine that runs it to say.
    return ws.policy.check_combinations(versions, ws.plan.arch, None)[1]


def place_of(ws: Workspace) -> Path:
    """Return where candidates, promotions and the feed of a stack are kept."""
    stack, arch = ws.plan.stack, ws.plan.arch
    name = stack if arch == "gfx1151" else f"{stack}-{arch}"
    return ws.settings.build / "nightly" / name
