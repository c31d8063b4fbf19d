"""What a wheelhouse is made from, as one digest: how it is known to be up to date."""

import json
import sys
from pathlib import Path

from strixforge.model.digests import document_digest, file_sha256
from strixforge.plan.graph import Plan
from strixforge.plan.requirements import Locked
from strixforge.store.store import Record

INSTALLER = ("install.sh", "install.py")
TEMPLATES = Path(__file__).parent / "templates"


def wheelhouse_requirements(plan: Plan) -> tuple[str, ...]:
    """Return what the wheelhouse takes from the index: pip for its installer, recipes' runtime."""
    runtime = {text for component in plan.components.values() for text in component.recipe.runtime}
    return ("pip>=25", *sorted(runtime))


def wheelhouse_inputs(plan: Plan, records: dict[str, Record], runtime: tuple[Locked, ...]) -> str:
    """Return a digest of all that a wheelhouse is made from."""
    room = Path(__file__).parent
    own = [
        [path.name, file_sha256(path)]
        for path in sorted([*room.glob("*.py"), *TEMPLATES.iterdir()])
        if path.is_file()
    ]
    return document_digest(
        {
            "stack": plan.stack,
            "outputs": {name: record.output for name, record in records.items()},
            "keys": {name: record.key for name, record in records.items()},
            "activation": {n: c.recipe.activate.env for n, c in plan.components.items()},
            "runtime": [[one.name, one.version, sorted(one.hashes)] for one in runtime],
            "own": own,
            "python": sys.version,
        }
    )


def is_current(place: Path, wanted_inputs: str) -> bool:
    """Say whether the wheelhouse at `place` was made from these inputs and is all there."""
    try:
        manifest = json.loads((place / "manifest.json").read_text())
        return bool(manifest["inputs"] == wanted_inputs) and all(
            (place / item["path"]).stat().st_size == item["size"] for item in manifest["files"]
        )
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        return False
