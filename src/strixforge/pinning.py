"""Single pins: their commits and hashes written into the lock, or asked for again."""

import os
import re
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from packaging.utils import canonicalize_name

from strixforge.model.errors import ArchiveError, FetchError, IntegrityError
from strixforge.model.packages import load_packages
from strixforge.model.pins import AptPin, ArchivePin, GitPin, IndexPin, Pin, require_pinned
from strixforge.plan.requirements import Locked
from strixforge.sources import Progress
from strixforge.sources.cache import Cache
from strixforge.sources.unpacking import explained, open_tar
from strixforge.store.lock import exclusive
from strixforge.workspace import Workspace

MOVED = "moved"
"""Begins what `check_pin` says of a tag or branch that stands for another commit now."""


def lock_archive(ws: Workspace, pin: ArchivePin, progress: Progress) -> str:
    """Download what is pinned to an address without a hash, and write its hash to the lock.

    Returns the sha256. Raises FetchError.
    """
    sha256 = _download(pin, f"{pin.component} {pin.version}", ws.cache, progress)
    set_field(ws, pin, "sha256", sha256)
    return sha256


def lock_commit(ws: Workspace, pin: GitPin) -> str:
    """Ask the repository which commit the pin's tag or branch is, and write it to the lock.

    Returns the commit. Raises FetchError.
    """
    from strixforge.sources.refs import resolve_ref

    commit = resolve_ref(pin.url, pin.ref)
    set_field(ws, pin, "commit", commit)
    return commit


def check_pin(ws: Workspace, pin: Pin, progress: Progress) -> str:
    """Ask the source of a pin again. Returns what it says; empty where there is nobody to ask.

    Raises FetchError where it cannot be asked, IntegrityError for other bytes, UnpinnedError.
    """
    from strixforge.sources.index_config import index_config
    from strixforge.sources.offers import addresses
    from strixforge.sources.refs import resolve_ref

    require_pinned(pin, where=f"{ws.lock.file}: {pin.component}")
    match pin:
        case GitPin():
            if not pin.ref:
                return ""
            now = resolve_ref(pin.url, pin.ref)
            same = now == pin.commit
            return f"{pin.ref} is {now}" if same else f"{MOVED}: {pin.ref} is commit {now} now"
        case ArchivePin():
            return _check_archive(pin, progress)
        case IndexPin():
            wanted = Locked(canonicalize_name(pin.name), pin.version, frozenset({pin.sha256}))
            addresses(wanted, index_config())
            return "the index has the file"
        case AptPin():
            from strixforge.sources.apt.locking import prove

            expired = bool(ws.lock.stack(ws.plan.stack).allow_expired)
            listed = load_packages(ws.settings.home, pin)
            places = (ws.lock.repositories, ws.settings.mirrors)
            held = prove(pin, listed, *places, allow_expired=expired)
            return f"{held} packages are in the signed index, by the same hashes"
        case _:
            return ""


def _check_archive(pin: ArchivePin, progress: Progress) -> str:
    """Download an archive anew. Raises IntegrityError when it is another one."""
    with tempfile.TemporaryDirectory() as scratch:
        found = _download(pin, f"{pin.component} {pin.version}", Cache(Path(scratch)), progress)
    if found != pin.sha256:
        raise IntegrityError(
            f"the archive of {pin.component} {pin.version} is another one now.",
            where=pin.url,
            cause=f"Its sha256 is {found}, the lock says {pin.sha256}.",
            fix="Compare the two before anything is built from it.",
        )
    return "the archive is the same"


def archive_commit(ws: Workspace, sha256: str) -> str:
    """Return the commit that `git archive` wrote into a cached tar, or nothing.

    Forges write it into the archives that they make of tags, as a comment of the pax header.
    """
    path = ws.cache.find(sha256)
    if path is None:
        return ""
    try:
        with explained(path), path.open("rb") as file, open_tar(file) as tar:
            comment = str(tar.pax_headers.get("comment", ""))
    except ArchiveError:
        return ""  # a zip, or damaged: that is told when it is unpacked
    return comment if re.fullmatch("[0-9a-f]{40}", comment) else ""


def _download(pin: ArchivePin, what: str, cache: Cache, progress: Progress) -> str:
    """Return the sha256 of what the first address gives that answers."""
    from strixforge.sources.http import first_download

    trouble: FetchError | None = None
    for url in (pin.url, *pin.also):
        try:
            return first_download(url, cache, progress, what=what)
        except FetchError as error:
            trouble = trouble or error
    raise trouble or FetchError(f"{what} has no address.")


def set_field(ws: Workspace, pin: AptPin | ArchivePin | GitPin, field: str, value: str) -> None:
    """Write a hash or a commit into its pin in the lock: a root's, or one of this run's stack."""
    import tomlkit

    with writing(ws.settings.home):
        document = tomlkit.parse(ws.lock.file.read_text(encoding="utf-8"))
        pins = document["stack"][ws.plan.stack]["pin"]
        for entry in document.get("root", []) if pin.component == ws.plan.root else pins:
            if entry["component"] == pin.component and entry["version"] == pin.version:
                entry[field] = value
        replace(ws.lock.file, tomlkit.dumps(document))


def writing(home: Path) -> AbstractContextManager[None]:
    """Return the lock under which toolchain.lock is read, changed and written."""
    return exclusive(home / "build" / "toolchain.lock.lock", lambda: None)


def replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
