"""A project whose recipes, patches and policy are the real ones, and whose sources are stand-ins.

`python -m tests.standins.project FOLDER` makes one to look at.
"""

import contextlib
import gzip
import hashlib
import importlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.e2e.project import DOIT, EPOCH, REPOSITORY, Done

STACKS = ("rocm-6.4.4", "therock")
ROOT = "trixie"
LOCKS = Path(__file__).parent / "locks"
# No component of a stack, but parts of the check of device code alone.
_LEFT_OUT = frozenset({"torch_headers", "torch_kit"})
_ROCM = """\
summary  = "A stand-in for ROCm, of the root's compiler, headers and device libraries"
license  = "MIT"
output   = "toolchain"
verified = "compile"

[build]
steps = ["./assemble.sh {{ out }}"]

[check]
paths = [".info/version", "lib/libamdhip64.so", "lib/llvm/bin/clang++"]
"""
_COMMAND_SECONDS = 900


class Standins:
    """Both stacks below `home`, with sources that the tests have written."""

    def __init__(self, home: Path, cache: Path | None = None) -> None:
        """Write the whole project; `cache` is a download cache to take files from."""
        self.home = home
        self.cache = home / "cache"
        self.upstream = home / "upstream"
        self.store = home / "build" / "store"
        home.mkdir(parents=True)
        for name in ("dodo.py", "policy.toml"):
            shutil.copy(REPOSITORY / name, home)
        for name in ("recipes", "patches"):
            shutil.copytree(REPOSITORY / name, home / name)
        shutil.copytree(REPOSITORY / "locks" / "apt", home / "locks" / "apt")
        for stack in STACKS:
            place = home / "recipes" / stack / "rocm.toml"
            place.parent.mkdir(exist_ok=True)
            place.write_text(_ROCM)
            if (LOCKS / stack).is_dir():
                shutil.copytree(LOCKS / stack, home / "locks" / stack)
        _git(home, "init", "--quiet")
        self.lock: dict[str, Any] = self._lock()
        self.write_lock()
        if cache is not None:
            self._warm(cache)

    def write_lock(self) -> None:
        """Write the lock as it is."""
        (self.home / "toolchain.lock").write_text(_toml(self.lock))

    def pin(self, stack: str, component: str) -> dict[str, Any]:
        """Return a pin of the lock, to be changed; `write_lock` writes it."""
        pins: list[dict[str, Any]] = self.lock["stack"][stack]["pin"]
        return next(one for one in pins if one["component"] == component)

    def doit(self, stack: str, *words: str) -> Done:
        """Run doit for one stack to its end."""
        given = [
            f"stack={stack}",
            f"cache={self.cache}",
            "target=elsewhere",
            "fit=unchecked",
            *words,
        ]
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        index = {name: text for name, text in os.environ.items() if name.startswith(_INDEX)}
        done = subprocess.run(
            [DOIT, "-f", str(self.home / "dodo.py"), *given],
            cwd=self.home,
            env={**kept, **index, "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
        )
        return Done(done.returncode, done.stdout)

    def components(self, stack: str) -> list[str]:
        """Return the components of a stack, in the order of the lock."""
        return [one["component"] for one in self.lock["stack"][stack]["pin"]]

    def state(self, stack: str, component: str) -> dict[str, Any]:
        """Return {key, output} that the component was last built or restored to."""
        path = self.home / "build" / "state" / stack / f"{component}.json"
        return dict(json.loads(path.read_text()))

    def output(self, stack: str, component: str) -> Path:
        """Return the folder of the component's stored output."""
        return self.store / "objects" / str(self.state(stack, component)["output"]) / "tree"

    def log(self, stack: str, component: str) -> str:
        """Return the log of the component's last build."""
        path = self.home / "build" / "logs" / stack / f"{component}.log"
        return path.read_text() if path.exists() else ""

    def wheelhouse(self, stack: str) -> Path:
        """Return where the stack is collected."""
        return self.home / "build" / "wheelhouse" / stack

    def give_back(self, cache: Path) -> None:
        """Put what was downloaded, packages and wheels, into a shared cache."""
        for folder in (self.cache / "sha256").glob("*"):
            if not (cache / "sha256" / folder.name).exists() and any(
                path.suffix in (".deb", ".whl") for path in folder.iterdir()
            ):
                _link_tree(folder, cache / "sha256" / folder.name)

    @contextlib.contextmanager
    def edited(self, path: str, *changes: tuple[str, str]) -> Iterator[None]:
        """Replace texts, which must be there, in a file of the project; put it back at the end."""
        file = self.home / path
        text = new = file.read_text()
        for old, instead in changes:
            assert old in new, f"{path} has no {old!r}"
            new = new.replace(old, instead)
        file.write_text(new)
        try:
            yield
        finally:
            file.write_text(text)

    @contextlib.contextmanager
    def changed(self, stack: str, component: str, path: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in a component's source, and pin what comes of it; undo it at the end."""
        pin = self.pin(stack, component)
        before = dict(pin)
        file = self.upstream / "trees" / f"{component}-{pin['version']}" / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new))
        try:
            folder = self.upstream / "trees" / f"{component}-{pin['version']}"
            pin.update(self._publish(component, pin["version"], folder, pin["source"]))
            self.write_lock()
            yield
        finally:
            file.write_text(text)
            pin.update(before)
            self.write_lock()

    def _lock(self) -> dict[str, Any]:
        real = tomllib.loads((REPOSITORY / "toolchain.lock").read_text())
        root = next(one for one in real["root"] if one["component"] == ROOT)
        lock = {
            "version": 1,
            "default": STACKS[0],
            "repository": {name: real["repository"][name] for name in root["repositories"]},
            "root": [root],
            "stack": {},
            "together": real["together"],
            "patches": real["patches"],
        }
        for stack in STACKS:
            pins: dict[str, Any] = {}
            for one in real["stack"][stack]["pin"]:
                name, version = str(one["component"]), str(one["version"])
                if name not in pins and name not in _LEFT_OUT and module(name) is not None:
                    folder = self.upstream / "trees" / f"{name}-{version}"
                    if not folder.exists():
                        self._write(name, version, folder)
                    pin = {"component": name, "version": version, "epoch": EPOCH}
                    kind = "git" if one["source"] == "git" else "archive"
                    pins[name] = {**pin, **self._publish(name, version, folder, kind)}
                    if "submodules" in one:
                        pins[name]["submodules"] = one["submodules"]
            lock["stack"][stack] = {
                "summary": "stand-ins of the real sources",
                "root": ROOT,
                "pin": list(pins.values()),
            }
        return lock

    def _write(self, name: str, version: str, folder: Path) -> None:
        found = module(name)
        assert found is not None
        folder.mkdir(parents=True)
        found.write(folder, version)

    def _publish(self, name: str, version: str, folder: Path, kind: str) -> dict[str, Any]:
        """Make a repository or an archive of a tree; return what a pin says of it."""
        if kind == "archive":
            body = packed(folder, f"{name}-{version}")
            sha256 = hashlib.sha256(body).hexdigest()
            place = self.upstream / "archives" / f"{name}-{version}-{sha256[:8]}.tar.gz"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(body)
            return {"source": "archive", "url": place.as_uri(), "sha256": sha256}
        found = getattr(module(name), "submodules", None)
        writers = found(version) if found is not None else {}
        commits: dict[str, tuple[str, str]] = {}
        # One that lies below another is a submodule of that one.
        for path in sorted(writers, reverse=True):
            place = self.upstream / "git" / f"{name}-{version}-{path.replace('/', '-')}"
            tree = self.upstream / "trees" / place.name
            if not tree.exists():
                tree.mkdir(parents=True)
                writers[path](tree)
            inner = {one: commits.pop(one) for one in list(commits) if one.startswith(f"{path}/")}
            below = {one.removeprefix(f"{path}/"): what for one, what in inner.items()}
            commits[path] = (place.name, _commit(place, tree, below))
        repository = self.upstream / "git" / f"{name}-{version}"
        commit = _commit(repository, folder, commits)
        return {"source": "git", "url": repository.as_uri(), "commit": commit}

    def _warm(self, cache: Path) -> None:
        """Link what a download cache has; the stand-ins' own sources never get into that one."""
        for name in ("sha256", "listings"):
            if (cache / name).is_dir():
                _link_tree(cache / name, self.cache / name)


_INDEX = ("PIP_", "UV_", "SSL_", "REQUESTS_", "HTTP", "http", "NO_PROXY", "no_proxy")


def module(component: str) -> ModuleType | None:
    """Return what writes a component's source; None for one that has no stand-in."""
    name = f"tests.standins.upstream.{component}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def packed(folder: Path, top: str) -> bytes:
    """Return a tree as a tar.gz that depends on its content alone."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in [folder, *sorted(folder.rglob("*"))]:
            info = tar.gettarinfo(path, arcname=f"{top}/{path.relative_to(folder)}".rstrip("/."))
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = EPOCH
            info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
            with path.open("rb") if info.isreg() else io.BytesIO() as file:
                tar.addfile(info, file)
    return gzip.compress(body.getvalue(), compresslevel=1, mtime=0)


def _commit(repository: Path, tree: Path, modules: Mapping[str, tuple[str, str]]) -> str:
    """Commit a tree, with submodules as {path: (name, commit)}; return the commit."""
    if not repository.exists():
        repository.mkdir(parents=True)
        _git(repository, "init", "--quiet", "--bare", "--initial-branch=main")
        _git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    here = [f"--git-dir={repository}", f"--work-tree={tree}"]
    lines = [
        f'[submodule "{path}"]\n\tpath = {path}\n\turl = ../{name}\n'
        for path, (name, _) in modules.items()
    ]
    if lines:
        (tree / ".gitmodules").write_text("".join(lines))
    _git(tree, *here, "add", "--all", "--force", ".")
    for path, (_, commit) in modules.items():
        _git(tree, *here, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    _git(tree, *here, "commit", "--quiet", "--allow-empty", "--message", "A stand-in")
    return _git(tree, *here, "rev-parse", "HEAD")


def _git(folder: Path, *words: str) -> str:
    date = f"{EPOCH} +0000"
    who = {"NAME": "strixforge", "EMAIL": "strixforge@localhost", "DATE": date}
    names = {
        f"GIT_{role}_{key}": text for role in ("AUTHOR", "COMMITTER") for key, text in who.items()
    }
    plain = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **names, **plain},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def _link_tree(source: Path, target: Path) -> None:
    """Copy a tree, by hard links where that can be done."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copyfile(one, other)

    shutil.copytree(source, target, copy_function=link, dirs_exist_ok=True)


def _toml(table: Mapping[str, Any], above: Sequence[str] = ()) -> str:
    """Write tables as TOML; JSON's texts, numbers and lists of them are TOML's too."""
    plain = {k: v for k, v in table.items() if not isinstance(v, dict) and not _is_tables(v)}
    text = "".join(f"{_key(name)} = {json.dumps(value)}\n" for name, value in plain.items())
    for name, value in table.items():
        path = [*above, name]
        title = ".".join(map(_key, path))
        if isinstance(value, dict):
            text += f"\n[{title}]\n{_toml(value, path)}"
        elif _is_tables(value):
            text += "".join(f"\n[[{title}]]\n{_toml(one, path)}" for one in value)
    return text


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


if __name__ == "__main__":
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strixforge"
    Standins(Path(sys.argv[1]).absolute(), shared)
