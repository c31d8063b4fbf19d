"""toolchain.lock: the stacks, and for each component the exact source it is made from."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from packaging.version import InvalidVersion, Version

from strixforge.model.errors import DataError, UnpinnedError, UsageError
from strixforge.model.loading import convert, nearest, read_toml

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*\Z")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64}|unresolved)\Z")]
Commit = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{40}|unresolved)\Z")]
# Zip archives know no date before 1980, so an earlier epoch cannot be kept in a wheel.
Epoch = Annotated[int, msgspec.Meta(ge=315532800)]

UNRESOLVED = "unresolved"


class _Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    component: Name
    version: str
    epoch: Epoch
    """SOURCE_DATE_EPOCH of the build, seconds since 1970, UTC."""
    note: str = ""
    """Where the values of this pin were read, and how sure they are."""


class GitPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="git"):
    """One commit of a git repository; submodules at the commits that it records."""

    url: str
    commit: Commit = UNRESOLVED
    ref: str = ""
    """The tag or branch that the commit was read from; for people, never fetched."""
    submodules: bool = True


class ArchivePin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="archive"):
    """One archive at one URL: tar (gz, bz2, xz, zst) or zip."""

    url: str
    sha256: Sha256 = UNRESOLVED


class IndexPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="index"):
    """One sdist of the machine's package index."""

    name: str
    sha256: Sha256 = UNRESOLVED


class LocalPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="local"):
    """A folder of this repository: its git-tracked files as they are in the work tree."""

    path: str


Pin: TypeAlias = GitPin | ArchivePin | IndexPin | LocalPin


class Stack(msgspec.Struct, frozen=True):
    """A named set of pins: for each component the versions to choose from, the first by default."""

    name: str
    summary: str
    pins: tuple[Pin, ...]

    def choose(self, versions: dict[str, str], *, file: Path) -> dict[str, Pin]:
        """Return one pin for each component; `versions` overrides the first one.

        Raises UsageError when the lock has no such pin.
        """
        chosen: dict[str, Pin] = {}
        for pin in self.pins:
            wanted = versions.get(pin.component)
            if wanted is None:
                chosen.setdefault(pin.component, pin)
            elif same_version(wanted, pin.version):
                chosen[pin.component] = pin
        for component, wanted in versions.items():
            if component not in chosen:
                have = [pin.version for pin in self.pins if pin.component == component]
                raise UsageError(
                    f"the lock has no pin of {component} {wanted} in stack {self.name}.",
                    where=f"{file}: stack.{self.name}",
                    cause=f"{component} is pinned at {', '.join(have)}.",
                    fix=f"Choose {component}={have[0]}, or add a [[stack.{self.name}.pin]] for it.",
                )
        return chosen


class Lock(msgspec.Struct, frozen=True):
    """All of toolchain.lock."""

    file: Path
    default: str
    stacks: dict[str, Stack]

    def stack(self, name: str) -> Stack:
        """Return one stack. Raises UsageError with the nearest name."""
        if name not in self.stacks:
            raise UsageError(
                f"there is no stack '{name}'.", where=str(self.file), fix=nearest(name, self.stacks)
            )
        return self.stacks[name]


class _RawStack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    summary: str
    pin: list[Any]


class _RawLock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    default: str
    stack: dict[str, Any]


def load_lock(path: Path) -> Lock:
    """Read toolchain.lock. Raises DataError naming the file and the key of the fault."""
    raw = convert(read_toml(path), _RawLock, file=path, key="")
    lock = Lock(
        file=path,
        default=raw.default,
        stacks={name: _load_stack(name, table, path) for name, table in raw.stack.items()},
    )
    if lock.default not in lock.stacks:
        raise DataError(
            f"the default stack '{lock.default}' is not in the lock.",
            where=f"{path}: default",
            fix=nearest(lock.default, lock.stacks),
        )
    return lock


def _load_stack(name: str, table: Any, path: Path) -> Stack:
    key = f"stack.{name}"
    raw = convert(table, _RawStack, file=path, key=key)
    pins = []
    for number, entry in enumerate(raw.pin, 1):
        label = entry.get("component", f"number {number}") if isinstance(entry, dict) else number
        pin: Pin = convert(entry, Pin, file=path, key=f"{key}.pin ({label})")  # type: ignore[arg-type]  # mypy has no type form for a union
        try:
            Version(pin.version)
        except InvalidVersion:
            raise DataError(
                f"'{pin.version}' is not a version (PEP 440).",
                where=f"{path}: {key}.pin ({pin.component}).version",
                fix="Write the number alone, such as 6.4.4, and the tag in `ref` or `note`.",
            ) from None
        pins.append(pin)
    return Stack(name=name, summary=raw.summary, pins=tuple(pins))


def require_pinned(pin: Pin, *, where: str) -> None:
    """Raise UnpinnedError when the hash or commit of `pin` is missing."""
    for field in ("sha256", "commit"):
        if getattr(pin, field, "") == UNRESOLVED:
            raise UnpinnedError(
                f"{pin.component} {pin.version} has no {field}; nothing unpinned is built.",
                where=where,
                cause="The lock entry leaves it out, or says 'unresolved'.",
                fix=f'Add {field} = "…" to that entry, from a source you trust.',
            )


def same_version(one: str, other: str) -> bool:
    """Compare two versions by PEP 440; text that is no version equals only itself."""
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other
