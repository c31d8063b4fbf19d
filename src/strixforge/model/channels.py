"""channels.toml: the indexes that list releases of TheRock."""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from strixforge.model.errors import DataError, UsageError
from strixforge.model.loading import convert, nearest, read_toml
from strixforge.model.lock import check_address
from strixforge.model.pins import Label, Web


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One index of releases."""

    name: Label
    index: Web
    """Its address; of a bucket, with the query that lists it."""
    source: str
    """Who says that it is there."""
    fresh_days: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Days after which an index without a newer file is stale; None where it may rest."""


class _Raw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    channel: list[Any]


class Channels(msgspec.Struct, frozen=True):
    """All of channels.toml."""

    file: Path
    channels: dict[str, Channel]

    def named(self, name: str, *, where: str) -> Channel:
        """Return one channel. Raises UsageError with the nearest name."""
        if name not in self.channels:
            raise UsageError(
                f"there is no channel '{name}'.", where=where, fix=nearest(name, self.channels)
            )
        return self.channels[name]


def load_channels(path: Path) -> Channels:
    """Read channels.toml. Raises DataError naming the channel and key of a fault."""
    found: dict[str, Channel] = {}
    for number, entry in enumerate(convert(read_toml(path), _Raw, file=path, key="").channel, 1):
        label = entry.get("name", f"number {number}") if isinstance(entry, dict) else number
        key = f"channel ({label})"
        one: Channel = convert(entry, Channel, file=path, key=key)
        if one.name in found:
            raise DataError(
                f"two channels are named '{one.name}'.",
                where=f"{path}: {key}",
                fix="Give one of them another name.",
            )
        check_address(one.index, f"{path}: {key}.index")
        found[one.name] = one
    return Channels(path, found)
