"""Which releases of TheRock a channel has for a GPU, the newest first, and whether it is alive."""

import datetime as dt
import re
from dataclasses import dataclass

from packaging.version import Version

from strixforge.model.channels import Channel
from strixforge.model.errors import DiscoveryError, FetchError
from strixforge.nightly.listing import Entry, NoIndexError, entries
from strixforge.nightly.versions import day, kind, order, parse
from strixforge.sources.http import read, without_secrets

_LARGEST = 64 << 20
"""Bytes of an index. A page of 10,000 files has 1 MB."""
# ROCm/TheRock RELEASES.md: one archive for a family of GPUs, or for all of them.
_FILE = re.compile(r"therock-dist-linux-(?P<family>[A-Za-z0-9-]+?)-(?P<version>[0-9].*)\.tar\.gz")


@dataclass(frozen=True, slots=True)
class Release:
    """One release for the GPU."""

    version: Version
    entry: Entry

    @property
    def kind(self) -> str:
        """What kind of release it is."""
        return kind(self.version)

    @property
    def published(self) -> dt.date | None:
        """The day of its number, else that of the index."""
        listed = self.entry.published.date() if self.entry.published else None
        return day(self.version) or listed


@dataclass(frozen=True, slots=True)
class Found:
    """What a channel has."""

    channel: Channel
    releases: tuple[Release, ...]
    """Those with a file for the GPU, the newest first."""
    elsewhere: tuple[Version, ...]
    """Versions that are newer, and have files for other GPUs only."""
    newest_file: dt.date | None
    """When the index last got a file for any GPU, as far as it tells."""

    def stale(self, today: dt.date) -> str:
        """Return why the index is stale, or why that cannot be told; or nothing."""
        limit = self.channel.fresh_days
        if limit is None or self.newest_file is None:
            return ""
        age = (today - self.newest_file).days
        if age < -1:  # the clock of another time zone may be a day ahead
            return (
                f"channel {self.channel.name} has a file of {self.newest_file}, a day to come: "
                "a clock is wrong, and whether it is stale cannot be told"
            )
        if age <= limit:
            return ""
        return (
            f"channel {self.channel.name} is stale: its newest file is of {self.newest_file}, "
            f"{age} days ago. It may have moved: channels.toml"
        )


def discover(channel: Channel, arch: str) -> Found:
    """Ask a channel's index. Raises DiscoveryError where it cannot be read or lists no release."""
    where = without_secrets(channel.index)

    def get(url: str) -> bytes:
        return read(url, limit=_LARGEST, what=f"the index of channel {channel.name}")

    try:
        listed = entries(channel.index, get)
    except FetchError as error:
        raise DiscoveryError(
            f"channel {channel.name} cannot be asked: {error.what}",
            where=where,
            cause=error.cause,
            fix="Nothing was changed. Try again later, or another channel: channels.toml",
        ) from None
    except NoIndexError as error:
        raise DiscoveryError(
            f"channel {channel.name} is no index: {error}.",
            where=where,
            cause="The index has moved, or something between here and there answers instead.",
            fix="Open the address in a browser, and mend channels.toml.",
        ) from None
    return _sorted(channel, listed, arch, where)


def _sorted(channel: Channel, listed: list[Entry], arch: str, where: str) -> Found:
    ours: dict[Version, Entry] = {}
    others: set[Version] = set()
    days: list[dt.date] = []
    for entry in listed:
        match = _FILE.fullmatch(entry.name)
        version = parse(match["version"]) if match else None
        if match is None or version is None:
            continue
        if entry.published is not None:
            days.append(entry.published.date())
        elif (built := day(version)) is not None:
            days.append(built)
        if match["family"] == arch:
            ours.setdefault(version, entry)
        else:
            others.add(version)
    if not ours:
        raise DiscoveryError(
            f"channel {channel.name} lists no release for {arch}.",
            where=where,
            cause=f"{len(listed)} files are listed, {len(others)} releases for other GPUs.",
            fix="Look at the index, and at channels.toml: releases have moved before.",
        )
    versions = sorted(ours, key=order, reverse=True)
    newer = {one for one in others - ours.keys() if order(one) > order(versions[0])}
    return Found(
        channel,
        tuple(Release(one, ours[one]) for one in versions),
        tuple(sorted(newer, key=order, reverse=True)),
        max(days, default=None),
    )
