"""The same lock gives the same bytes: elsewhere, as somebody else, and after being killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import HOME, clean_environment, other_user

pytestmark = pytest.mark.slow
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strixforge"


def _manifest(wheelhouse: Path) -> list[dict[str, Any]]:
    return list(json.loads((wheelhouse / "manifest.json").read_text())["files"])


def built_files(wheelhouse: Path) -> dict[str, str]:
    return {e["path"]: e["sha256"] for e in _manifest(wheelhouse) if "built" in e["origin"]}


def clone_to(place: Path) -> Path:
    """Clone what is committed."""
    subprocess.run(["git", "clone", "--quiet", str(HOME), str(place)], check=True)
    return place


def doit(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "doit", "-f", str(home / "dodo.py"), "stack=demo", *words]


def wheelhouse_of(home: Path, python: str, user: list[str], **environment: str) -> dict[str, str]:
    """Build with ./doit in its own environment; return the hashes of what was built."""
    done = subprocess.run(
        [*user, str(home / "doit"), "stack=demo", "wheelhouse"],
        env={**clean_environment(), "STRIXFORGE_PYTHON": python, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        cwd="/",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return built_files(home / "build" / "wheelhouse" / "demo")


def test_the_demo_reproduces_byte_for_byte(wheelhouse: Path) -> None:
    """With what `./doit reproduce` varies; another user of the whole machine is the next test."""
    done = subprocess.run(
        [str(HOME / "doit"), "stack=demo", "reproduce"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wheelhouse           identical: SHA256SUMS" in done.stdout
    report = json.loads((HOME / "build" / "reproduce" / "demo.json").read_text())
    assert [one["verdict"] for one in report["components"]] == ["identical"] * 5
    outputs = {e["origin"]["output"] for e in _manifest(wheelhouse) if "built" in e["origin"]}
    assert outputs == {one["second"] for one in report["components"]}
    varied = {one["name"] for one in report["circumstances"] if one["varied"]}
    assert varied >= {"folder", "user", "host name", "umask", "locale", "time zone", "home"}
    assert not (HOME / "build" / "reproduce" / "demo" / "again").exists()


def test_another_user_umask_locale_folder_and_sandbox_give_the_same_bytes(
    wheelhouse: Path, tmp_path: Path
) -> None:
    """A real user, to whom the system's files do not belong, with a clone and a .venv of its own.

    Where another user cannot read this Python, both builds use the system's own.
    """
    other = tmp_path / "somewhere else"
    shutil.copytree(CACHE, other / "cache" / "strixforge")
    theirs = clone_to(other / "b" / "clone")
    user, python = other_user(other)
    if python == sys.executable:
        first = built_files(wheelhouse)
    else:
        first = wheelhouse_of(clone_to(tmp_path / "a"), python, [])
    second = wheelhouse_of(
        theirs,
        python,
        user,
        HOME=str(other),
        XDG_CACHE_HOME=str(other / "cache"),
        LC_ALL="C",
        LANGUAGE="de",
        TZ="Asia/Tokyo",
        STRIXFORGE_SANDBOX="unshare",
    )
    assert len(first) == 5
    assert first == second


def test_killed_at_twenty_random_moments_it_ends_with_the_same_bytes(
    wheelhouse: Path, tmp_path: Path
) -> None:
    home = clone_to(tmp_path / "clone")
    state = home / "build" / "state" / "demo"
    moments = random.Random(20261123)
    done_before: dict[str, tuple[int, str]] = {}
    for _ in range(20):
        run = subprocess.Popen(
            doit(home, "wheelhouse"),
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(moments.uniform(0.2, 14.0))
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        finished = {
            path.name: (path.stat().st_mtime_ns, path.read_text()) for path in state.glob("*.json")
        }
        assert done_before.items() <= finished.items(), "a finished component was built again"
        done_before = finished
    last = subprocess.run(
        doit(home, "wheelhouse"), env=clean_environment(), capture_output=True, text=True
    )
    assert last.returncode == 0, last.stdout + last.stderr
    assert built_files(home / "build" / "wheelhouse" / "demo") == built_files(wheelhouse)
    assert [path.name for path in (home / "build" / "wheelhouse").iterdir()] == ["demo"]
