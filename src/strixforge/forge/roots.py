"""The file system that a sandbox shows: the host's own, or a tree unpacked from packages."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from strixforge.forge import hostroot
from strixforge.model.errors import GateError

_SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "lib32", "libx32")
# What of the host's /etc a compiler or the dynamic loader reads.
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d")
# What of a tree the sandbox makes itself, or what only a running system needs.
_OWN = frozenset(
    ("boot", "dev", "home", "media", "mnt", "proc", "root", "run", "srv", "sys", "tmp", "var")
)
# The others are none that a system has; what packages call their files goes into mount commands.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NEEDED = ("usr/bin/bash", "usr/bin/env", "usr/bin/python3", "usr/bin/sh")


@dataclass(frozen=True, slots=True)
class Root:
    """What of a file system is bound into a sandbox, all of it read-only."""

    binds: dict[str, Path]
    """Paths inside to folders or files outside."""
    links: dict[str, str]
    """Symlinks inside to their targets: /bin -> usr/bin."""
    python: str
    """The Python inside that runs the steps, and makes environments for them."""
    hides_local: bool
    """Whether /usr/local is shown empty."""


def host() -> Root:
    """Return the host's own system."""
    binds = {f"/{name}": Path("/", name) for name in _SYSTEM if _is_folder(Path("/", name))}
    binds |= {f"/etc/{name}": Path("/etc", name) for name in _ETC if Path("/etc", name).exists()}
    home = hostroot.python_home()
    if not home.is_relative_to("/usr"):
        binds[str(home)] = home
    local = Path("/usr/local")
    return Root(
        binds=binds,
        links=_links(Path("/"), _SYSTEM),
        python=str(hostroot.python_binary()),
        # It is hidden unless the stack's own Python lives there.
        hides_local=_is_folder(local) and not home.is_relative_to(local),
    )


def tree(folder: Path, python: str | None) -> Root:
    """Return a root that lies in `folder`, as a component of the store.

    `python` is major and minor version of the Python to use; without it, the root's python3.
    """
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in _OWN and _PLAIN.fullmatch(path.name)
    )
    binds = {f"/{name}": folder / name for name in names if _is_folder(folder / name)}
    # Others are put beside what these two hold: the sandbox's own files, and the toolchain.
    for name in ("etc", "opt"):
        if binds.pop(f"/{name}", None) is not None:
            inner = (folder / name).iterdir()
            # A dead link cannot be bound.
            binds |= {f"/{name}/{one.name}": one for one in sorted(inner) if one.exists()}
    return Root(
        binds=binds,
        links=_links(folder, names),
        python=f"/usr/bin/python{python or 3}",
        hides_local=False,
    )


def check_tree(folder: Path, name: str, recipe: Path) -> None:
    """Raise GateError for a tree that no build could run in."""
    lacks = [path for path in _NEEDED if not (folder / path).is_file()]
    wrong = [part for part in ("etc", "opt") if (folder / part).is_symlink()]
    wrong += [part for part in ("strixforge",) if os.path.lexists(folder / part)]
    if lacks or wrong:
        raise GateError(
            f"the root {name} lacks {', '.join(lacks)}."
            if lacks
            else f"the root {name} has {', '.join(wrong)}, where the sandbox has its own.",
            where=f"{recipe}\nits packages, in toolchain.lock: root ({name})",
            cause="Steps run under the root's bash and Python.",
            fix="Add what brings it to `packages` of the root (bash, coreutils, dash, python3), "
            "then: ./doit lock",
        )


def _links(folder: Path, names: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Return those of the names that are links, with the text of each as it is."""
    return {
        f"/{name}": os.readlink(folder / name)  # noqa: PTH115
        for name in names
        if (folder / name).is_symlink()
    }


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
