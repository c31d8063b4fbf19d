"""A wheelhouse as one archive, to be carried to a machine without network."""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from strixforge.model.digests import file_sha256
from strixforge.model.errors import IntegrityError
from strixforge.release.sums import SUMS, read_sums

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive that was written."""

    path: Path
    sha256: str
    size: int


class Hashed:
    """A file whose bytes are hashed on their way, in either direction."""

    def __init__(self, file: IO[bytes]) -> None:
        """`file` is read from, or written to."""
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the file."""
        return self._passed(self._file.read(size))

    def write(self, data: bytes) -> int:
        """Put the next bytes into the file."""
        return self._file.write(self._passed(data))

    def _passed(self, data: bytes) -> bytes:
        self.digest.update(data)
        self.size += len(data)
        return data


def sums_file(bundle: Path) -> Path:
    """Return the file with the bundle's hash, which `sha256sum -c` reads."""
    return bundle.with_name(bundle.name + ".sha256")


def write_bundle(wheelhouse: Path, bundle: Path, epoch: int) -> Bundle:
    """Write the archive, and its hash beside it. Its bytes follow from those of the wheelhouse.

    The caller holds the locks of both. A run that is killed leaves no archive with a wrong hash.
    Raises IntegrityError for a file that is not as it was collected.
    """
    bundle.parent.mkdir(parents=True, exist_ok=True)
    staged = bundle.with_name(f".{bundle.name}.new")
    try:
        with staged.open("wb") as file:
            out = Hashed(file)
            with tar_onto(out) as tar:
                for member, source in _members(wheelhouse, bundle.stem, epoch):
                    _add(tar, member, source, wheelhouse)
            file.flush()
            os.fsync(file.fileno())
        sums_file(bundle).unlink(missing_ok=True)
        staged.replace(bundle)
    finally:
        staged.unlink(missing_ok=True)
    digest = out.digest.hexdigest()
    staged = sums_file(bundle).with_name(f".{bundle.name}.sha256.new")
    staged.write_text(f"{digest}  {bundle.name}\n", encoding="utf-8")
    staged.replace(sums_file(bundle))
    return Bundle(bundle, digest, out.size)


def _members(wheelhouse: Path, top: str, epoch: int) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield each folder and file, and the digest it must have; all below one folder."""
    wanted = read_sums((wheelhouse / SUMS).read_text(encoding="utf-8"))
    wanted[SUMS] = file_sha256(wheelhouse / SUMS)
    paths = sorted(wheelhouse.rglob("*"), key=lambda path: path.relative_to(wheelhouse).parts)
    names = {path.relative_to(wheelhouse).as_posix() for path in paths if not path.is_dir()}
    for name in sorted(names ^ wanted.keys()):
        raise _not_whole(wheelhouse, name)
    for path in (wheelhouse, *paths):
        name = path.relative_to(wheelhouse).as_posix()
        inside = top if path == wheelhouse else f"{top}/{name}"
        if path.is_dir():
            member = folder_member(inside, epoch)
        else:
            status = path.stat()
            member = file_member(
                inside, epoch, status.st_size, executable=bool(status.st_mode & 0o100)
            )
        yield member, wanted.get(name, "")


def folder_member(name: str, epoch: int) -> tarfile.TarInfo:
    """Return the one header that a folder has in a bundle."""
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, epoch
    return member


def file_member(name: str, epoch: int, size: int, *, executable: bool) -> tarfile.TarInfo:
    """Return the one header that a file has in a bundle."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, epoch
    member.mode = 0o755 if executable else 0o644
    return member


class Sink(Protocol):
    """What a bundle is written to."""

    def write(self, data: bytes) -> int:
        """Take the next bytes."""


def tar_onto(out: Sink) -> tarfile.TarFile:
    """Return what writes members as the one form of tar that bundles have."""
    tar: tarfile.TarFile = tarfile.open(  # noqa: SIM115 - the caller closes it
        fileobj=out,  # type: ignore[call-overload]  # typeshed wants a whole file, tarfile write() alone
        mode="w|",
        format=tarfile.GNU_FORMAT,
        copybufsize=_PIECE,
    )
    return tar


def _add(tar: tarfile.TarFile, member: tarfile.TarInfo, wanted: str, wheelhouse: Path) -> None:
    if member.isdir():
        tar.addfile(member)
        return
    name = member.name.partition("/")[2]
    with (wheelhouse / name).open("rb") as file:
        content = Hashed(file)
        tar.addfile(member, content)
    if content.digest.hexdigest() != wanted:
        raise _not_whole(wheelhouse, name)


def _not_whole(wheelhouse: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} of the wheelhouse is not as it was collected.",
        where=str(wheelhouse / name),
        cause=f"It was changed, added or removed since: {SUMS} does not agree.",
        fix="Remove the folder of the wheelhouse, and give the same command again.",
    )


def is_current(wheelhouse: Path, bundle: Path, state: Path) -> bool:
    """Say whether the bundle was made from this wheelhouse and is as it was made."""
    try:
        return bool(json.loads(state.read_text(encoding="utf-8")) == _state(wheelhouse, bundle))
    except (OSError, ValueError):
        return False


def write_state(wheelhouse: Path, bundle: Path, state: Path) -> None:
    """Remember what the bundle was made from, and how its files look."""
    state.parent.mkdir(parents=True, exist_ok=True)
    staged = state.with_suffix(f".{os.getpid()}")
    staged.write_text(json.dumps(_state(wheelhouse, bundle)), encoding="utf-8")
    staged.replace(state)


def _state(wheelhouse: Path, bundle: Path) -> dict[str, Any]:
    # SHA256SUMS names all of a wheelhouse, and through its manifest this code too.
    files = [path.lstat() for path in (bundle, sums_file(bundle))]
    return {
        "wheelhouse": file_sha256(wheelhouse / SUMS),
        "files": [[one.st_size, one.st_mtime_ns, one.st_ino] for one in files],
    }
