"""locks/apt/<component>-<version>.toml: the Debian packages of a pin, each by its hash."""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from strixforge.model.digests import document_digest
from strixforge.model.errors import IntegrityError, UnpinnedError
from strixforge.model.loading import convert, read_toml
from strixforge.model.pins import UNRESOLVED, AptPin

_Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
# Of what a .deb's name and place in the archive are made; both are used in paths and addresses.
_Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9+.:~_-]*\Z")]
_Path = Annotated[str, msgspec.Meta(pattern=r"^(?!(.*/)?\.\.?(/|\Z))[A-Za-z0-9._/+:~%-]+\Z")]


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One .deb file."""

    name: _Word
    version: _Word
    architecture: _Word
    repository: str
    path: _Path
    """Below the repository's address."""
    size: Annotated[int, msgspec.Meta(gt=0)]
    """Bytes."""
    sha256: _Sha256

    def __str__(self) -> str:
        """Return name and version."""
        return f"{self.name} {self.version}"


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The signed index that hashes were read from."""

    repository: str
    date: str
    """As the archive writes it (RFC 5322, UTC)."""
    inrelease: _Sha256
    signed_by: str
    """Fingerprint of the primary key."""
    packages: dict[str, _Sha256]
    """Component of the archive to the sha256 of its Packages index."""


class PackageList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All packages of a pin, sorted by name."""

    version: Literal[1]
    resolver: str
    """What found the dependencies: apt with its version, or strixforge."""
    wanted: tuple[str, ...]
    """Packages that were asked for, with all that they depend on."""
    release: Annotated[tuple[Release, ...], msgspec.Meta(min_length=1)]
    package: tuple[Package, ...]
    left: tuple[str, ...] = ()
    """Dependencies of a prefix that no repository of it has: the root must bring them."""
    alone: tuple[str, ...] = ()
    """Packages that were asked for without what they depend on."""

    def digest(self) -> str:
        """Return the sha256 that the pin carries. Where and when it was read takes no part."""
        return document_digest(
            [[one.name, one.version, one.architecture, one.sha256] for one in self.package]
        )

    def find(self, name: str) -> Package | None:
        """Return a package by its name."""
        return next((one for one in self.package if one.name == name), None)

    def bytes(self) -> int:
        """Return what all packages are to download, bytes."""
        return sum(one.size for one in self.package)


def list_file(home: Path, pin: AptPin) -> Path:
    """Return where the packages of a pin are listed."""
    return home / "locks" / "apt" / f"{pin.component}-{pin.version}.toml"


def load_packages(home: Path, pin: AptPin) -> PackageList:
    """Read the packages of a pin.

    Raises UnpinnedError when they are not locked, DataError for a file that is none, and
    IntegrityError when it is not the list that the pin was locked with.
    """
    path = list_file(home, pin)
    what = f"{pin.component} {pin.version}"
    if pin.sha256 == UNRESOLVED or not path.is_file():
        raise UnpinnedError(f"the packages of {what} are not locked.", where=str(path), fix=_LOCK)
    packages = read_packages(path)
    listed, wanted = (*packages.wanted, *packages.alone), (*pin.packages, *pin.alone)
    if (packages.wanted, packages.alone) != (pin.packages, pin.alone):
        other = ", ".join(sorted({*listed} ^ {*wanted})) or "another order"
        raise UnpinnedError(
            f"{what} asks for other packages than were locked: {other}.", where=str(path), fix=_LOCK
        )
    if packages.digest() != pin.sha256:
        raise IntegrityError(
            f"the list of packages of {what} is not the one that was locked.",
            where=str(path),
            cause=f"Its sha256 is {packages.digest()}, the lock says {pin.sha256}.",
            fix=f"{_LOCK}    (finds the packages anew; then look at `git diff`)",
        )
    for one in packages.package:
        if one.repository not in pin.repositories:
            raise UnpinnedError(
                f"{one} is listed from the repository '{one.repository}', which {what} does not "
                "name.",
                where=str(path),
                fix=_LOCK,
            )
    return packages


def read_packages(path: Path) -> PackageList:
    """Read a list. Raises DataError for a file that is none, or is not there."""
    try:
        status = path.stat()
    except OSError:
        return _read(path, 0, 0)
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, mtime_ns: int, size: int) -> PackageList:
    """Read a list once for as long as the file is the same."""
    del mtime_ns, size
    return convert(read_toml(path), PackageList, file=path, key="")


_LOCK = "./doit lock"


def render(packages: PackageList) -> str:
    """Return the file's text: one line a package, so that `git diff` is readable."""
    lines = [
        "# Written by ./doit lock: every package by its hash. Do not edit.",
        f"version = {packages.version}",
        f"resolver = {_text(packages.resolver)}",
        f"wanted = {_list(packages.wanted)}",
        *([f"alone = {_list(packages.alone)}"] if packages.alone else []),
        f"left = {_list(packages.left)}",
        "package = [",
        *(f"  {_inline(msgspec.to_builtins(one))}," for one in packages.package),
        "]",
    ]
    for release in packages.release:
        table = msgspec.to_builtins(release)
        lines += ["", "[[release]]"]
        lines += [
            f"{name} = {_inline(value) if isinstance(value, dict) else _text(value)}"
            for name, value in table.items()
        ]
    return "\n".join(lines) + "\n"


def _inline(table: dict[str, object]) -> str:
    return "{ " + ", ".join(f"{_key(k)} = {_text(v)}" for k, v in table.items()) + " }"


def _key(name: str) -> str:
    return name if name.replace("-", "").isalnum() else _text(name)


def _list(texts: Iterable[str]) -> str:
    return "[" + ", ".join(_text(one) for one in texts) + "]"


def _text(value: object) -> str:
    """Write a string or a number; JSON's are TOML's too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
