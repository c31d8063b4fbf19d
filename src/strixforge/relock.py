"""What `doit lock` writes: hashes of patches, Debian packages and Python requirements."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from uv import find_uv_bin

from strixforge.model.errors import DataError, FetchError
from strixforge.model.lock import Lock
from strixforge.model.packages import PackageList, list_file, read_packages, render
from strixforge.model.patch import load_patches
from strixforge.model.pins import UNRESOLVED, AptPin, ArchivePin
from strixforge.policy import in_packages
from strixforge.release.inputs import wheelhouse_requirements
from strixforge.sources import Progress
from strixforge.sources.cache import Cache
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


def lock_packages(ws: Workspace) -> list[tuple[str, PackageList, bool]]:
    """Resolve the Debian packages of the root and of the stack's apt pins.

    Returns (name, packages, whether they changed). A list whose packages are the same is left as it
    is. Raises FetchError, IntegrityError or HostError, and PolicyError for refused packages.
    """
    from strixforge.sources.apt.locking import resolve

    done = []
    stack = ws.lock.stack(ws.plan.stack)
    for component in ws.plan.components.values():
        pin = component.pin
        if not isinstance(pin, AptPin):
            continue
        found = resolve(
            pin, ws.lock.repositories, ws.settings.mirrors, allow_expired=bool(stack.allow_expired)
        )
        path = list_file(ws.settings.home, pin)
        ws.policy.check(in_packages(found, f"packages of {component.name}"))
        changed = found.digest() != pin.sha256 or not _is_listed(found, path)
        if changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, render(found))
            _set_sha256(ws, pin, found.digest())
        done.append((component.name, found, changed))
    return done


def _is_listed(found: PackageList, path: Path) -> bool:
    """Say whether a list holds these packages; when and by whom they were found may differ."""
    try:
        old = read_packages(path)
    except DataError:
        return False
    same = (old.wanted, old.left, old.package) == (found.wanted, found.left, found.package)
    return same and len(old.release) == len(found.release)


def lock_archives(ws: Workspace) -> Iterator[tuple[str, str]]:
    """Download what is pinned to an address without a hash, and write its hash to the lock.

    Yields (name, sha256). Raises FetchError.
    """
    from strixforge.ui.board import BOARD

    for name, component in ws.plan.components.items():
        pin = component.pin
        if isinstance(pin, ArchivePin) and pin.sha256 == UNRESOLVED:
            with BOARD.activity(name) as activity:
                what = f"{name} {pin.version}"
                sha256 = _download(pin, what, ws.cache, activity.progress)
            _set_sha256(ws, pin, sha256)
            yield name, sha256


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


def _set_sha256(ws: Workspace, pin: AptPin | ArchivePin, sha256: str) -> None:
    """Write a hash into its pin in the lock: a root's, or one of this run's stack."""
    import tomlkit

    document = tomlkit.parse(ws.lock.file.read_text(encoding="utf-8"))
    pins = document["stack"][ws.plan.stack]["pin"]
    for entry in document.get("root", []) if pin.component == ws.plan.root else pins:
        if entry["component"] == pin.component and entry["version"] == pin.version:
            entry["sha256"] = sha256
    _replace(ws.lock.file, tomlkit.dumps(document))


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
