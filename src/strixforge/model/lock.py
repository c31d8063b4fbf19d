"""toolchain.lock: the stacks, and for each component the exact source it is made from."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from packaging.version import Version

from strixforge.model.errors import DataError, UnpinnedError, UsageError
from strixforge.model.loading import convert, nearest, read_toml


def _form(pattern: str, description: str) -> msgspec.Meta:
    """A text of that form; errors show the description."""
    return msgspec.Meta(pattern=pattern, description=description)


Name = Annotated[
    str, _form(r"^[a-z][a-z0-9_]*\Z", "Write small letters, digits and underscores, such as vllm.")
]
Sha256 = Annotated[
    str, _form(r"^([0-9a-f]{64}|unresolved)\Z", "Write 64 hexadecimal digits, in small letters.")
]
Commit = Annotated[
    str, _form(r"^([0-9a-f]{40}|unresolved)\Z", "Write a commit: 40 hexadecimal digits, no tag.")
]
_StackName = Annotated[
    str, _form(r"^[a-z][a-z0-9._-]*\Z", "Write small letters, digits, dots, hyphens: rocm-6.4.4.")
]
_Project = Annotated[
    str,
    _form(r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z", "Write a project name, such as vllm."),
]
_Web = Annotated[
    str, _form(r"^(https?|file)://[^\s\x00-\x1f]+\Z", "Write an https, http or file address.")
]
_Remote = Annotated[
    str, _form(r"^[^-\s\x00-\x1f][^\s\x00-\x1f]*\Z", "Write the address that `git clone` takes.")
]
_Path = Annotated[str, _form(r"^[^\x00-\x1f]+\Z", "Write a folder of this repository.")]
_Word = Annotated[str, _form(r"^\S+\Z", "Write a version without spaces, such as 6.4.4.")]
# Zip archives know no date before 1980 and none after 2107, so another cannot be kept in a wheel.
Epoch = Annotated[int, msgspec.Meta(ge=315532800, le=4354819198)]

UNRESOLVED = "unresolved"
RESERVED = frozenset(
    (
        *("arch", "build", "cache", "env", "jobs", "out", "sandbox", "source", "src", "stack"),
        *("store", "wheelhouse"),
    )
)
"""Names that the command line and templates give a meaning to; no component may have one."""


class _Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    component: Name
    version: _Word
    epoch: Epoch
    """SOURCE_DATE_EPOCH of the build, seconds since 1970, UTC."""
    note: str = ""
    """Where the values of this pin were read, and how sure they are."""


class GitPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="git"):
    """One commit of a git repository; submodules at the commits that it records."""

    url: _Remote
    commit: Commit = UNRESOLVED
    ref: str = ""
    """The tag or branch that the commit was read from; for people, never fetched."""
    submodules: bool = True


class ArchivePin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="archive"):
    """One archive at one URL: tar (gz, bz2, xz, zst) or zip."""

    url: _Web
    sha256: Sha256 = UNRESOLVED


class IndexPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="index"):
    """One sdist of the machine's package index."""

    name: _Project
    sha256: Sha256 = UNRESOLVED


class LocalPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="local"):
    """A folder of this repository: its git-tracked files as they are in the work tree."""

    path: _Path


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
    patches: dict[str, str] = {}
    """<component>/<file name> of each patch to the sha256 of the whole file."""

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
    stack: dict[_StackName, Any]
    patches: dict[str, Sha256] = {}


def load_lock(path: Path) -> Lock:
    """Read toolchain.lock. Raises DataError naming the file and the key of the fault."""
    raw = convert(read_toml(path), _RawLock, file=path, key="")
    lock = Lock(
        file=path,
        default=raw.default,
        stacks={name: _load_stack(name, table, path) for name, table in raw.stack.items()},
        patches=raw.patches,
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
    pins: list[Pin] = []
    for number, entry in enumerate(raw.pin, 1):
        label = entry.get("component", f"number {number}") if isinstance(entry, dict) else number
        pin: Pin = convert(entry, Pin, file=path, key=f"{key}.pin ({label})")  # type: ignore[arg-type]  # mypy has no type form for a union
        _check_pin(pin, pins, f"{path}: {key}.pin ({label})")
        pins.append(pin)
    return Stack(name=name, summary=raw.summary, pins=tuple(pins))


def _check_pin(pin: Pin, others: list[Pin], where: str) -> None:
    """Raise DataError for what a pattern cannot say: versions, addresses, names used twice."""
    try:
        Version(pin.version)
    except ValueError:
        raise DataError(
            f"'{pin.version}' is not a version (PEP 440).",
            where=f"{where}.version",
            fix="Write the number alone, such as 6.4.4, and the tag in `ref` or `note`.",
        ) from None
    try:
        urlsplit(getattr(pin, "url", "")).port  # noqa: B018 - the address is parsed when it is read
    except ValueError as error:
        raise DataError(f"the address is not valid: {error}.", where=f"{where}.url") from None
    if pin.component in RESERVED:
        raise DataError(
            f"a component cannot be named '{pin.component}'.",
            where=f"{where}.component",
            cause="The command line and recipes use that word for something else.",
            fix="Choose another name, for the pin and for its recipe.",
        )
    if any(o.component == pin.component and same_version(o.version, pin.version) for o in others):
        raise DataError(
            f"{pin.component} {pin.version} is pinned twice.",
            where=where,
            fix="Remove one of the two entries.",
        )


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
    except ValueError:
        return one == other
