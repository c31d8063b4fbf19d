"""What `doit lock` writes: hashes of patches and of Python requirements."""

import os
import subprocess
import tempfile
from pathlib import Path

from uv import find_uv_bin

from strixforge.model.errors import FetchError
from strixforge.model.lock import Lock
from strixforge.model.patch import load_patches
from strixforge.release.inputs import wheelhouse_requirements
from strixforge.sources.index_config import as_url, index_config
from strixforge.workspace import Workspace

# The oldest Python that strixforge runs on. Hashes cover every wheel of a version, so newer
# Pythons take theirs from the same lock.
_PYTHON = "3.11"
_PLATFORM = "x86_64-manylinux_2_28"


def lock_requirements(ws: Workspace) -> list[tuple[str, bool]]:
    """Resolve the build requirements of each component, and the wheelhouse's own.

    Returns (name of the lock, whether it changed). Raises FetchError when resolving fails.
    """
    folder = ws.settings.home / "locks" / ws.plan.stack
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        name: component.recipe.build.python
        for name, component in ws.plan.components.items()
        if component.recipe.build.python
    }
    wanted["wheelhouse"] = wheelhouse_requirements(ws.plan)
    return [
        (name, _lock("\n".join(texts), ["-"], folder / f"{name}.txt", "./doit lock"))
        for name, texts in wanted.items()
    ]


def lock_patches(home: Path, lock: Lock) -> list[str]:
    """Write the sha256 of every patch to the lock's [patches]; return the names that changed."""
    import tomlkit

    found = {
        f"{folder.name}/{patch.path.name}": patch.sha256
        for folder in sorted((home / "patches").glob("*/"))
        for patch in load_patches(folder)
    }
    changed = [
        name
        for name in found.keys() | lock.patches.keys()
        if found.get(name) != lock.patches.get(name)
    ]
    if changed:
        document = tomlkit.parse(lock.file.read_text(encoding="utf-8"))
        table = document.get("patches")
        if table is None:
            table = document["patches"] = tomlkit.table()
        for name in changed:
            if name in found:
                table[name] = found[name]
            else:
                del table[name]
        _replace(lock.file, tomlkit.dumps(document))
    return sorted(changed)


def lock_tools(home: Path) -> bool:
    """Resolve what strixforge itself runs with into requirements.lock; say whether it changed."""
    arguments = [str(home / "pyproject.toml"), "--group", f"{home / 'pyproject.toml'}:dev"]
    return _lock("", arguments, home / "requirements.lock", "./doit lock_tools")


def _lock(stdin: str, arguments: list[str], path: Path, writer: str) -> bool:
    """Run uv's resolver; say whether the lock changed. Raises FetchError when it fails.

    Versions of an earlier lock stay while they fit; to move one on, remove the file first.
    """
    config = index_config()
    environment = dict(os.environ)
    if config.indexes:
        environment["UV_DEFAULT_INDEX"] = as_url(config.indexes[0])
        # As pip does it: the best version of any index, whichever has it.
        environment["UV_INDEX"] = " ".join(as_url(one) for one in config.indexes[1:])
        environment["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if isinstance(config.verify, str):
        environment["SSL_CERT_FILE"] = config.verify
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / path.name
        output.write_text(old, encoding="utf-8")
        done = subprocess.run(
            [
                *(find_uv_bin(), "pip", "compile", *arguments, "--output-file", str(output)),
                *("--generate-hashes", "--no-header", "--no-annotate", "--quiet"),
                *("--only-binary=:all:", "--python-version", _PYTHON),
                *("--python-platform", _PLATFORM),
            ],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FetchError(
                f"the requirements of {path.stem} cannot be resolved.",
                where="\n".join(done.stderr.strip().splitlines()[-6:]),
                fix="Check the network, the index configuration, and the recipe's requirements.",
            )
        header = f"# Written by {writer}: every file by its hash. Do not edit.\n"
        text = header + output.read_text(encoding="utf-8")
    if text != old:
        _replace(path, text)
    return text != old


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one."""
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
