"""[[unreproducible]] of policy.toml: files that are known to differ from build to build."""

import datetime as dt
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import msgspec

from strixforge.model.errors import DataError
from strixforge.model.loading import convert

_Day = Annotated[
    str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}\Z", description="Write a date as 2027-05-23.")
]
_Text = Annotated[str, msgspec.Meta(pattern=r"\S", description="It must not be empty.")]


class Unreproducible(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of one component that may differ until a day, with the reason."""

    component: str
    files: Annotated[tuple[_Text, ...], msgspec.Meta(min_length=1)]
    """Patterns of paths in the output; members of an archive follow its name and a `/`."""
    reason: _Text
    expires: _Day
    """The last day on which it counts."""

    def expired(self, today: dt.date) -> bool:
        """Say whether it counts no more."""
        return today > dt.date.fromisoformat(self.expires)

    def covers(self, component: str, path: str) -> bool:
        """Say whether it speaks of a file; `*` also matches `/`."""
        return component == self.component and any(fnmatchcase(path, one) for one in self.files)


def load_unreproducible(entries: list[Any], path: Path) -> tuple[Unreproducible, ...]:
    """Read them. Raises DataError naming the entry and key of a fault."""
    found = []
    for number, entry in enumerate(entries, 1):
        label = entry.get("component", f"number {number}") if isinstance(entry, dict) else number
        key = f"unreproducible ({label})"
        one: Unreproducible = convert(entry, Unreproducible, file=path, key=key)
        try:
            dt.date.fromisoformat(one.expires)
        except ValueError:
            raise DataError(f"'{one.expires}' is no day.", where=f"{path}: {key}.expires") from None
        found.append(one)
    return tuple(found)
