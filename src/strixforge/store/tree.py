"""A folder as a list of entries with hashes, and as one digest.

Modes count only as executable or not, so umask and unpacking user leave no trace.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from strixforge.model.digests import document_digest, file_sha256
from strixforge.model.errors import GateError

Manifest = list[dict[str, Any]]
"""Entries sorted by path: {path, type: file|link|folder, size, sha256, executable | target}."""


def scan(root: Path) -> Manifest:
    """Hash every file below `root`; empty folders count, other folders follow from their files.

    Raises GateError for a socket, device or pipe.
    """
    paths = sorted(_walk(root), key=lambda path: path.relative_to(root).as_posix())
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda path: _entry(root, path), paths))


def tree_digest(manifest: Manifest) -> str:
    """Return the sha256 that names a tree."""
    return document_digest(manifest)


def first_difference(expected: Manifest, found: Manifest) -> str:
    """Return a sentence on the first entry that differs."""
    before = {entry["path"]: entry for entry in expected}
    after = {entry["path"]: entry for entry in found}
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            return f"{path} is gone."
        if path not in before:
            return f"{path} is new."
        if before[path] != after[path]:
            return f"{path} has changed: {_brief(before[path])} -> {_brief(after[path])}."
    return "Nothing differs."


def normalise(root: Path) -> None:
    """Set modes to 0644, or 0755 where the owner may execute; folders to 0755."""
    root.chmod(0o755)
    for folder, folders, files in os.walk(root):
        for name in folders:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _brief(entry: dict[str, Any]) -> str:
    if entry["type"] == "file":
        mode = ", executable" if entry["executable"] else ""
        return f"sha256 {entry['sha256'][:12]}…, {entry['size']} bytes{mode}"
    return str(entry.get("target", entry["type"]))


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        if not folders and not files and here != root:
            yield here
        for name in files:
            yield here / name
        for name in folders:
            if (here / name).is_symlink():
                yield here / name


def _entry(root: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(root).as_posix()
    if path.is_symlink():
        return {"path": name, "type": "link", "target": str(path.readlink())}
    if path.is_dir():
        return {"path": name, "type": "folder"}
    if not path.is_file():
        raise GateError(f"{name} is neither a file, a link nor a folder.", where=str(path))
    status = path.stat()
    return {
        "path": name,
        "type": "file",
        "size": status.st_size,
        "executable": bool(status.st_mode & 0o100),
        "sha256": file_sha256(path),
    }
