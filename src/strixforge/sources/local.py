"""Folders of this repository: their git-tracked files, as they are in the work tree."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from strixforge.model.errors import DataError
from strixforge.model.pins import LocalPin
from strixforge.sources import Progress, Site


def digest(pin: LocalPin, site: Site) -> str:
    """Return a digest of the tracked files' names, contents and executable bits."""
    total = hashlib.sha256()
    for name in _tracked(pin, site.home):
        path = site.home / pin.path / name
        if path.is_symlink():
            kind, content = "link", os.fsencode(path.readlink())
        else:
            kind = "exec" if path.stat().st_mode & 0o100 else "file"
            content = path.read_bytes()
        inner = hashlib.sha256(content).hexdigest()
        total.update(f"{kind} {inner} {name}\0".encode(errors="surrogateescape"))
    return f"local:{total.hexdigest()}"


def missing(pin: LocalPin, site: Site) -> bool:
    """Return False: the files are here."""
    del pin, site
    return False


def fetch(pin: LocalPin, site: Site, progress: Progress) -> None:
    """Do nothing: the files are here."""
    del pin, site, progress


def unpack(pin: LocalPin, site: Site, target: Path) -> None:
    """Copy the tracked files to `target`."""
    for name in _tracked(pin, site.home):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(site.home / pin.path / name, place, follow_symlinks=False)


def _tracked(pin: LocalPin, home: Path) -> list[str]:
    """Return the tracked files that exist, sorted. Raises DataError when there are none."""
    folder = home / pin.path
    if not folder.resolve().is_relative_to(home.resolve()):
        raise DataError(
            f"{pin.component}: '{pin.path}' lies outside this repository.",
            where=str(folder.resolve()),
            cause="Only what this repository tracks has a history; the lock has no hash of it.",
            fix="Move the source into the repository, or pin it as git or archive.",
        )
    if not folder.is_dir():
        raise DataError(
            f"{pin.component}: the folder '{pin.path}' does not exist.",
            where=str(folder),
            fix="Restore it (git checkout), or mend `path` of the pin.",
        )
    # In a git hook, git has set GIT_DIR and GIT_INDEX_FILE, perhaps for another repository.
    environment = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
    listed = subprocess.run(
        ["git", "-C", str(folder), "-c", "safe.directory=*", "ls-files", "-z"],
        env=environment,
        capture_output=True,
        check=False,
    )
    names = sorted({os.fsdecode(name) for name in listed.stdout.split(b"\0") if name})
    present = [name for name in names if os.path.lexists(folder / name)]
    for name in present:
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            raise DataError(
                f"{pin.component}: '{name}' is a repository of its own.",
                where=str(folder / name),
                cause="A local source is files of this repository; it can hold no submodule.",
                fix='Pin that repository as a component, source = "git".',
            )
    if listed.returncode or not present:
        raise DataError(
            f"{pin.component}: git tracks no file in '{pin.path}'.",
            where=str(folder),
            cause=listed.stderr.decode(errors="replace").strip()
            or "A local source is what git tracks, so that the same commit gives the same build.",
            fix=f"git add '{pin.path}'",
        )
    return present
