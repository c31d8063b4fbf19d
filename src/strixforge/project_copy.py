"""Another folder with the files of a project that builds depend on, to build from there."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from strixforge.model.errors import HostError
from strixforge.model.pins import LocalPin
from strixforge.plan.graph import Plan

_FILES = ("dodo.py", "toolchain.lock", "policy.toml")
_FOLDERS = ("recipes", "patches", "locks", "smoke")


def local_sources(plan: Plan) -> list[str]:
    """Return the folders of the repository that components are made from."""
    pins = [component.pin for component in (*plan.components.values(), *plan.devices.values())]
    return sorted({pin.path for pin in pins if isinstance(pin, LocalPin)})


def copy_project(home: Path, project: Path, sources: Iterable[str]) -> None:
    """Copy the project at `home` into the folder `project`, which is there and empty.

    `sources` are folders of the repository; of them comes what git tracks, and a git of the copy
    tracks it too.
    """
    for name in _FILES:
        shutil.copy2(home / name, project / name)
    for name in _FOLDERS:
        if (home / name).is_dir():
            shutil.copytree(home / name, project / name, symlinks=True)
    _copy_tracked(home, project, sorted(set(sources)))


def _copy_tracked(home: Path, project: Path, folders: list[str]) -> None:
    git(project, "init", "--quiet", "--template=")
    if not folders:
        return
    listed = git(home, "ls-files", "-z", "--", *folders)
    names = [name for name in listed.split("\0") if name and os.path.lexists(home / name)]
    for name in names:
        target = project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(home / name, target, follow_symlinks=False)
    git(project, "update-index", "--add", "-z", "--stdin", given="\0".join(names))


def git(folder: Path, *words: str, given: str = "") -> str:
    """Return what git says in a folder. Raises HostError where it fails."""
    environment = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "safe.directory=*", *words],
        env=environment,
        input=given.encode(errors="surrogateescape"),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise HostError(
            f"git {words[0]} failed: {done.stderr.decode(errors='replace').strip()}",
            where=str(folder),
        )
    return os.fsdecode(done.stdout)
