"""feed.json: every candidate and what became of it; entries are added and never changed.

One entry a line, each with the sha256 of the line before it, so that a changed one shows. A reader
sees the old or the new file, whole, whatever is killed: the new one is renamed over it.
docs/reference/feed.schema.json is its schema.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from strixforge.model.errors import IntegrityError
from strixforge.store.lock import exclusive

SCHEMA = 1
Outcome: TypeAlias = Literal["promoted", "refused", "quarantined", "postponed", "rolled back"]
_HEAD, _TAIL = '{"schema":1,"entries":[\n', "\n]}\n"
_BETWEEN = ",\n"


class Cause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a candidate was not promoted."""

    stage: str
    """A stage of docs/reference/nightly.md, or person."""
    code: int
    """The exit code of the error: docs/reference/errors.md."""
    what: str
    """The error as it was shown."""


class Toolchain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The archive of a release."""

    url: str
    sha256: str = ""
    """Empty where it was not downloaded."""
    bytes: int = 0
    commit: str = ""
    """The commit of TheRock that its manifest names."""
    published: str = ""
    """When the index got it, as the index tells; ISO 8601."""


class Kernels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The kernels of the wheelhouse, beside those of what was promoted."""

    count: int
    gone: int = 0
    added: int = 0
    changed: int = 0


class Smoke(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ran on the GPU."""

    arch: str
    components: tuple[str, ...]
    """Those whose smoke test passed."""
    kernel: str
    """Release of the running Linux kernel."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One candidate and its verdict."""

    night: str
    """The candidate: its release, and the state of the project that it was tried with."""
    time: str
    """When the verdict was reached; UTC, ISO 8601."""
    stack: str
    arch: str
    channel: str
    release: str
    verdict: Outcome
    cause: Cause | None = None
    pins: dict[str, str] = {}
    """Every component's version: what is promoted or quarantined is this whole."""
    toolchain: Toolchain | None = None
    kernels: Kernels | None = None
    smoke: Smoke | None = None
    """None where nothing ran on a GPU."""
    wheelhouse: int = 0
    """Bytes."""
    seconds: dict[str, float] = {}
    """How long each stage took."""
    checkout: str = ""
    """Commit of the project; a plus behind it where files were changed."""
    previous: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""
    """The sha256 of the entry before, as its line is written; empty for the first."""


class Feed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of feed.json."""

    schema: Literal[1]
    entries: list[Entry]


def read_feed(path: Path) -> list[Entry]:
    """Return the entries, the oldest first; none where there is no feed yet.

    Raises IntegrityError for a feed that is damaged, or in which an entry was changed.
    """
    return _read(path)[0]


def append(path: Path, entry: Entry) -> Entry:
    """Add one entry. Returns it as it was written. Several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(f".{path.name}.lock"), lambda: None):
        _, lines = _read(path)
        added = msgspec.structs.replace(entry, previous=_digest(lines[-1]) if lines else "")
        lines.append(msgspec.json.encode(added).decode())
        _replace(path, _HEAD + _BETWEEN.join(lines) + _TAIL)
    return added


def _read(path: Path) -> tuple[list[Entry], list[str]]:
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return [], []
    except UnicodeDecodeError:
        raise _damaged(path, "It is not UTF-8.") from None
    try:
        entries = msgspec.json.decode(text.encode(), type=Feed).entries
    except (msgspec.DecodeError, RecursionError) as error:
        raise _damaged(path, f"{error}.") from None
    body = text.removeprefix(_HEAD).removesuffix(_TAIL)
    lines = body.split(_BETWEEN) if body else []
    if len(lines) != len(entries) or len(text) != len(_HEAD) + len(body) + len(_TAIL):
        raise _damaged(path, "Its lines are not as strixforge writes them.")
    before = ""
    for number, (line, entry) in enumerate(zip(lines, entries, strict=True), 1):
        if entry.previous != before:
            raise _damaged(path, f"Entry {number} does not follow the one before it.")
        before = _digest(line)
    return entries, lines


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def _damaged(path: Path, cause: str) -> IntegrityError:
    return IntegrityError(
        "the feed was changed: entries are only ever added.",
        where=str(path),
        cause=cause,
        fix="Put a copy of it back, or move it away: a new one is begun.",
    )


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            new.write(text.encode())
            new.flush()
            os.fsync(new.fileno())
            Path(new.name).chmod(0o644)
            Path(new.name).replace(path)
        except BaseException:
            Path(new.name).unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
