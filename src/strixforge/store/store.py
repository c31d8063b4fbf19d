"""The store: what was built, under its key; each change of it is one rename or one link.

records/<key>.json               the key document and the digest of its output
objects/<digest>/tree            the output
objects/<digest>/manifest.json   its entries; the object's name is the hash of this list
"""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strixforge.model.digests import canonical, document_digest
from strixforge.model.errors import GateError, HostError, IntegrityError
from strixforge.plan.keys import KeyDocument
from strixforge.store.lock import exclusive, shared
from strixforge.store.tree import Manifest, first_difference, normalise, scan, tree_digest


@dataclass(frozen=True, slots=True)
class Record:
    """What a key led to."""

    key: str
    document: KeyDocument
    output: str
    """Digest of the output tree."""
    notes: dict[str, Any]
    """How it came about: seconds, sandbox, jobs. Never part of a key."""


class Store:
    """Records and objects below one folder."""

    def __init__(self, root: Path) -> None:
        """Make no folder yet: a plan reads only."""
        self.root = root

    @property
    def mirror(self) -> Path:
        """The downloads that promoted stacks were made from: hosts prune what they had."""
        return self.root / "mirror"

    def used(self) -> AbstractContextManager[None]:
        """Hold the store while something is added to it that nothing leads to yet."""
        return shared(self.root / "use.lock", lambda: None)

    def unused(self, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """Hold the store while things are removed from it; waits for those that add."""
        return exclusive(self.root / "use.lock", on_wait)

    def record(self, key: str) -> Record | None:
        """Return the record of a key, or None. Raises IntegrityError when it was damaged."""
        path = self._record_path(key)
        try:
            raw = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            raise self._damaged_record(path, "It is not JSON.") from None
        try:
            record, seal = raw["record"], raw["seal"]
            if document_digest(record) == seal and document_digest(record["document"]) == key:
                return Record(key, record["document"], record["output"], record["notes"])
        except (KeyError, TypeError):
            pass
        raise self._damaged_record(path, "Its content does not match its name and seal.")

    def holds(self, output: str) -> bool:
        """Say whether an object is there, without hashing it."""
        return self._manifest_path(output).is_file()

    def tree(self, output: str) -> Path:
        """Return the folder of an object."""
        return self.root / "objects" / output / "tree"

    def verified(self, output: str, *, what: str) -> Path:
        """Hash an object and return its folder. Raises IntegrityError naming what changed."""
        manifest = self._manifest(output, what)
        try:
            found = scan(self.tree(output))
        except (GateError, OSError) as error:
            why = getattr(error, "what", str(error))
            raise self._damaged(self.tree(output), what, f"it cannot be read: {why}") from None
        if found != manifest:
            difference = first_difference(manifest, found)
            raise self._damaged(self.tree(output), what, f"it was changed: {difference}")
        return self.tree(output)

    def publish(self, document: KeyDocument, built: Path, notes: dict[str, Any]) -> Record:
        """Move the folder `built` into the store and record it under its key; first writer wins.

        Returns the record that holds from now on. Nothing is visible before all of it is on disk.
        """
        key = document_digest(document)
        normalise(built)
        manifest = scan(built)
        output = tree_digest(manifest)
        staged = self.root / "staging" / f"{key}-{uuid.uuid4().hex}"
        try:
            staged.mkdir(parents=True)
            shutil.move(built, staged / "tree")
            (staged / "manifest.json").write_bytes(canonical(manifest))
            _sync_file_system(staged)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)  # a full disk must not stay full
            raise
        place = self.root / "objects" / output
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            try:
                self.verified(output, what=document["component"])
            except IntegrityError:
                self.set_aside(output)
        try:
            staged.rename(place)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            shutil.rmtree(staged)  # the same bytes are there already
        _sync_folder(place.parent)
        self._forget_if_useless(key)
        self._write_record(
            key, {"document": document, "output": output, "notes": notes, "key": key}
        )
        record = self.record(key)
        if record is None:
            raise self._damaged_record(self._record_path(key), "It was removed just now.")
        return record

    def clear_staging(self, key: str) -> None:
        """Remove what a killed run left of publishing `key`. The caller holds that key's lock."""
        for left in (self.root / "staging").glob(f"{key}-*"):
            shutil.rmtree(left)

    def _forget_if_useless(self, key: str) -> None:
        """Remove a record that is damaged, or whose output is gone: the new one takes its place."""
        try:
            old = self.record(key)
            useful = old is None or self.holds(old.output)
        except IntegrityError:
            useful = False
        if not useful:
            self._record_path(key).unlink(missing_ok=True)

    def set_aside(self, output: str) -> Path:
        """Move a damaged object out of the way, keeping it for a look. Returns its new place."""
        place = self.root / "damaged" / f"{output}-{uuid.uuid4().hex[:8]}"
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # somebody else was first
            (self.root / "objects" / output).rename(place)
        return place

    def objects(self) -> list[str]:
        """Return the digests of all objects."""
        folder = self.root / "objects"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def _manifest(self, output: str, what: str) -> Manifest:
        path = self._manifest_path(output)
        try:
            content = path.read_bytes()
            manifest: Manifest = json.loads(content)
            intact = tree_digest(manifest) == output
        except (OSError, ValueError, RecursionError):
            manifest, intact = [], False
        if not intact:
            raise self._damaged(path, what, "its manifest is missing or was changed")
        return manifest

    def _manifest_path(self, output: str) -> Path:
        return self.root / "objects" / output / "manifest.json"

    def _record_path(self, key: str) -> Path:
        return self.root / "records" / f"{key}.json"

    def _write_record(self, key: str, record: dict[str, Any]) -> None:
        path = self._record_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        sealed = {"record": record, "seal": document_digest(record)}
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp") as file:
            file.write(json.dumps(sealed, indent=1, sort_keys=True).encode())
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            try:
                os.link(file.name, path)
            except FileExistsError:
                return  # first writer wins
        _sync_folder(path.parent)

    def _damaged(self, path: Path, what: str, why: str) -> IntegrityError:
        return IntegrityError(
            f"the stored artifact of {what} is damaged; {why.rstrip('.')}.",
            where=str(path),
            cause="Something wrote into the store, or the disk is failing.",
            fix="./doit verify    (sets damaged artifacts aside; the next build remakes them)",
        )

    def _damaged_record(self, path: Path, cause: str) -> IntegrityError:
        return IntegrityError(
            "a record of the store was changed.",
            where=str(path),
            cause=cause,
            fix=f"rm '{path}'    (the next build writes it anew)",
        )


def _sync_file_system(path: Path) -> None:
    """Bring all of a file system to disk; fsync of thousands of files would take minutes."""
    done = subprocess.run(
        ["sync", "--file-system", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HostError(
            f"the store could not be written to disk: {done.stderr.strip()}",
            where=str(path),
            fix="Look after the disk, then give the same command again.",
        )


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
