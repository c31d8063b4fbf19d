"""What `doit lock` writes of whole sets: Debian packages, patches and Python requirements."""

import os
import subprocess
import tempfile
from pathlib import Path

from uv import find_uv_bin

from strixforge.model.errors import DataError, FetchError
from strixforge.model.lock import Lock
from strixforge.model.packages import PackageList, list_file, read_packages, render
from strixforge.model.patch import load_patches
from strixforge.model.pins import AptPin
from strixforge.pinning import replace, set_field, writing
from strixforge.plan.graph import Component
from strixforge.policy import in_packages
from strixforge.release.inputs import wheelhouse_requirements
from strixforge.sources.index_config import as_url, index_config
from strixforge.workspace import Workspace

# The oldest Python that strixforge runs on. Hashes cover every wheel of a version, so newer
# Pythons take theirs from the same lock.
_PYTHON = "3.11"
_PLATFORM = "x86_64-manylinux_2_28"
_NEWEST_GLIBC = 40
"""The newest 2.x that uv has a platform for."""


def requirement_locks(ws: Workspace) -> dict[str, tuple[str, ...]]:
    """Return what is to be resolved, by the name of the lock: for each build, and for the user."""
    components = (*ws.plan.components.items(), *ws.plan.devices.items())
    wanted = {name: one.recipe.build.python for name, one in components if one.recipe.build.python}
    wanted["wheelhouse"] = wheelhouse_requirements(ws.plan)
    return wanted


def lock_requirements(ws: Workspace, name: str, texts: tuple[str, ...]) -> bool:
    """Resolve one set of Python requirements; say whether its lock changed.

    What the stack builds itself never comes from the index, whoever asks for it. Raises FetchError.
    """
    folder = ws.settings.home / "locks" / ws.plan.stack
    folder.mkdir(parents=True, exist_ok=True)
    built = [one.recipe.distribution_of(name) for name, one in ws.plan.components.items()]
    left_out = sorted({*filter(None, built)})
    target = (_PYTHON, _PLATFORM)
    if ws.plan.root is not None and ws.plan.python.glibc is not None:
        _, minor = ws.plan.python.glibc
        target = (ws.plan.python.short, f"x86_64-manylinux_2_{min(minor, _NEWEST_GLIBC)}")
    arguments = ["-"]
    with tempfile.TemporaryDirectory() as scratch:
        if left_out:
            # For uv an override whose marker never holds takes a requirement away altogether.
            overrides = Path(scratch) / "overrides.txt"
            overrides.write_text("".join(f"{one} ; python_version < '0'\n" for one in left_out))
            arguments += ["--override", str(overrides)]
        text = "\n".join(texts)
        return _lock(text, arguments, folder / f"{name}.txt", "./doit lock", target)


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
    if not changed:
        return []
    with writing(home):
        document = tomlkit.parse(lock.file.read_text(encoding="utf-8"))
        table = document.get("patches")
        if table is None:
            table = document["patches"] = tomlkit.table()
        for name in changed:
            if name in found:
                table[name] = found[name]
            else:
                table.pop(name, None)
        replace(lock.file, tomlkit.dumps(document))
    return sorted(changed)


def lock_packages(ws: Workspace, component: Component) -> tuple[PackageList, bool]:
    """Resolve the Debian packages of a root or of an apt pin.

    Returns the packages, and whether they changed. A list whose packages are the same is left as it
    is. Raises FetchError, IntegrityError or HostError, and PolicyError for refused packages.
    """
    from strixforge.sources.apt.locking import resolve

    stack = ws.lock.stack(ws.plan.stack)
    pin = component.pin
    if not isinstance(pin, AptPin):  # pragma: no cover - the caller has looked
        raise TypeError(component.name)
    found = resolve(
        pin, ws.lock.repositories, ws.settings.mirrors, allow_expired=bool(stack.allow_expired)
    )
    path = list_file(ws.settings.home, pin)
    ws.policy.check(in_packages(found, f"packages of {component.name}"))
    changed = found.digest() != pin.sha256 or not _is_listed(found, path)
    if changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, render(found))
        set_field(ws, pin, "sha256", found.digest())
    return found, changed


def _is_listed(found: PackageList, path: Path) -> bool:
    """Say whether a list holds these packages; when and by whom they were found may differ."""
    try:
        old = read_packages(path)
    except DataError:
        return False
    same = (old.wanted, old.alone, old.left, old.package) == (
        *(found.wanted, found.alone, found.left, found.package),
    )
    return same and len(old.release) == len(found.release)


def lock_tools(home: Path) -> bool:
    """Resolve what strixforge itself runs with into requirements.lock; say whether it changed."""
    arguments = [str(home / "pyproject.toml"), "--group", f"{home / 'pyproject.toml'}:dev"]
    return _lock(
        "", arguments, home / "requirements.lock", "./doit lock_tools", (_PYTHON, _PLATFORM)
    )


def _lock(
    stdin: str, arguments: list[str], path: Path, writer: str, target: tuple[str, str]
) -> bool:
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
                *("--only-binary=:all:", "--python-version", target[0]),
                *("--python-platform", target[1]),
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
        replace(path, text)
    return text != old
