"""toolchain.lock: the stacks, and for each component the exact source it is made from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

import msgspec
from packaging.version import Version

from strixforge.model import conditions
from strixforge.model.errors import DataError, UsageError
from strixforge.model.loading import convert, nearest, read_toml
from strixforge.model.pins import RESERVED, AptPin, Label, Pin, Sha256, same_version
from strixforge.model.repository import Repository

HOST = "host"
"""The root that is the host's own system."""


class Stack(msgspec.Struct, frozen=True):
    """A named set of pins: for each component the versions to choose from, the first by default."""

    name: str
    summary: str
    pins: tuple[Pin, ...]
    root: str = HOST
    """The file system its builds see: `host`, or the component of a [[root]]."""
    allow_expired: str = ""
    """Why signed indexes past their Valid-Until are accepted; empty where they are not."""
    channel: str = ""
    """The channel of channels.toml that `nightly` follows; empty where it follows none."""

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


class Together(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pins that fit each other: where the first condition holds in a stack, all must."""

    id: Label
    pins: Annotated[tuple[str, ...], msgspec.Meta(min_length=2)]
    source: str
    """Who says so."""

    def misfits(self, versions: Mapping[str, str]) -> list[str]:
        """Return the conditions that a stack's pins do not meet; none where it is another set.

        Components that the stack does not have are no misfit.
        """
        first, *others = self.pins
        if not conditions.holds([first], versions):
            return []
        known = [one for one in others if conditions.names([one]) <= versions.keys()]
        return [one for one in known if not conditions.holds([one], versions)]


class Lock(msgspec.Struct, frozen=True):
    """All of toolchain.lock."""

    file: Path
    default: str
    stacks: dict[str, Stack]
    patches: dict[str, str] = {}
    """<component>/<file name> of each patch to the sha256 of the whole file."""
    repositories: dict[str, Repository] = {}
    roots: dict[str, AptPin] = {}
    """File systems that any stack can be built in, by component."""
    together: tuple[Together, ...] = ()

    def stack(self, name: str) -> Stack:
        """Return one stack. Raises UsageError with the nearest name."""
        if name not in self.stacks:
            raise UsageError(
                f"there is no stack '{name}'.", where=str(self.file), fix=nearest(name, self.stacks)
            )
        return self.stacks[name]

    def root(self, name: str, *, where: str) -> AptPin | None:
        """Return the pin of a root; None for the host's own. Raises UsageError."""
        if name == HOST:
            return None
        if name not in self.roots:
            raise UsageError(
                f"there is no root '{name}'.", where=where, fix=nearest(name, [HOST, *self.roots])
            )
        return self.roots[name]


class _RawStack(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    summary: str
    pin: list[Any]
    root: str = HOST
    allow_expired: str = ""
    channel: str = ""


class _RawLock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    default: str
    stack: dict[Label, Any]
    patches: dict[str, Sha256] = {}
    repository: dict[Label, Any] = {}
    root: list[Any] = []
    together: list[Any] = []


def load_lock(path: Path) -> Lock:
    """Read toolchain.lock. Raises DataError naming the file and the key of the fault."""
    raw = convert(read_toml(path), _RawLock, file=path, key="")
    repositories = {name: _load_repository(name, one, path) for name, one in raw.repository.items()}
    roots = _load_pins(raw.root, "root", repositories, path)
    lock = Lock(
        file=path,
        default=raw.default,
        stacks={
            name: _load_stack(name, table, repositories, path) for name, table in raw.stack.items()
        },
        patches=raw.patches,
        repositories=repositories,
        roots={pin.component: pin for pin in roots if isinstance(pin, AptPin)},
        together=_load_together(raw.together, path),
    )
    _check_roots(lock, roots)
    if lock.default not in lock.stacks:
        raise DataError(
            f"the default stack '{lock.default}' is not in the lock.",
            where=f"{path}: default",
            fix=nearest(lock.default, lock.stacks),
        )
    return lock


def _load_stack(name: str, table: Any, repositories: dict[str, Repository], path: Path) -> Stack:
    raw = convert(table, _RawStack, file=path, key=f"stack.{name}")
    pins = _load_pins(raw.pin, f"stack.{name}.pin", repositories, path)
    return Stack(
        name=name,
        summary=raw.summary,
        pins=tuple(pins),
        root=raw.root,
        allow_expired=raw.allow_expired.strip(),
        channel=raw.channel,
    )


def _load_pins(
    entries: list[Any], key: str, repositories: dict[str, Repository], path: Path
) -> list[Pin]:
    pins: list[Pin] = []
    for number, entry in enumerate(entries, 1):
        label = entry.get("component", f"number {number}") if isinstance(entry, dict) else number
        where = f"{key} ({label})"
        pin = convert(entry, cast("type[Pin]", Pin), file=path, key=where)
        _check_pin(pin, pins, f"{path}: {where}")
        for repository in getattr(pin, "repositories", ()):
            if repository not in repositories:
                raise DataError(
                    f"there is no repository '{repository}'.",
                    where=f"{path}: {where}.repositories",
                    fix=f"Write a [repository.{repository}] table. "
                    + nearest(repository, repositories),
                )
        pins.append(pin)
    return pins


def _load_together(entries: list[Any], path: Path) -> tuple[Together, ...]:
    found: list[Together] = []
    for number, entry in enumerate(entries, 1):
        label = entry.get("id", f"number {number}") if isinstance(entry, dict) else number
        key = f"together ({label})"
        one: Together = convert(entry, Together, file=path, key=key)
        for text in one.pins:
            if reason := conditions.unfit(text):
                raise DataError(
                    reason, where=f"{path}: {key}.pins", fix="Write them as pytorch==2.8.*"
                )
        found.append(one)
    return tuple(found)


def _load_repository(name: str, table: Any, path: Path) -> Repository:
    key = f"repository.{name}"
    repository: Repository = convert(table, Repository, file=path, key=key)
    for name in ("url", "key_url"):
        check_address(getattr(repository, name) or "", f"{path}: {key}.{name}")
    if bool(repository.archive) == bool(repository.url):
        raise DataError(
            "a repository has either an archive or a url.",
            where=f"{path}: {key}",
            fix='Write archive = "debian" where mirrors have it, else its address as `url`.',
        )
    return repository


def _check_roots(lock: Lock, roots: list[Pin]) -> None:
    """Raise DataError for a root that is no root, or a stack that names none."""
    for number, pin in enumerate(roots):
        if any(pin.component == other.component for other in roots[:number]):
            raise DataError(
                f"two roots are named '{pin.component}'.",
                where=f"{lock.file}: root ({pin.component})",
                fix="Give one of them another name, and a recipe of its own.",
            )
        if not isinstance(pin, AptPin) or pin.folder is not None:
            raise DataError(
                f"the root '{pin.component}' is no whole file system.",
                where=f"{lock.file}: root ({pin.component})",
                fix='A root has source = "apt" and no folder.',
            )
    for stack in lock.stacks.values():
        if stack.root not in (HOST, *lock.roots):
            raise DataError(
                f"there is no root '{stack.root}'.",
                where=f"{lock.file}: stack.{stack.name}.root",
                fix=nearest(stack.root, [HOST, *lock.roots]),
            )
        for pin in stack.pins:
            if pin.component in lock.roots:
                raise DataError(
                    f"'{pin.component}' is a root, and cannot be pinned in a stack too.",
                    where=f"{lock.file}: stack.{stack.name}.pin ({pin.component})",
                    fix="Choose another name for one of the two.",
                )


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
    for address in (getattr(pin, "url", ""), *getattr(pin, "also", ())):
        check_address(address, f"{where}.url")
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


def check_address(address: str, where: str) -> None:
    """Raise DataError for an address that cannot be taken apart."""
    try:
        urlsplit(address).port  # noqa: B018 - the address is parsed when it is read
    except ValueError as error:
        raise DataError(f"the address is not valid: {error}.", where=where) from None
