"""./doit makes its own environment, wherever it lies and however it is called."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import HOME, clean_environment

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of what is committed, in a path with a space, its environment made by pip."""
    place = tmp_path_factory.mktemp("clones") / "a clone"
    subprocess.run(["git", "clone", "--quiet", str(HOME), str(place)], check=True)
    return place


def doit(command: list[str], cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**clean_environment(), **more},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_it_makes_the_environment_once_and_works_from_anywhere(clone: Path, tmp_path: Path) -> None:
    first = doit([str(clone / "doit"), "list"], Path("/"))
    assert first.returncode == 0, first.stderr
    assert "making .venv" in first.stderr
    assert "wheelhouse" in first.stdout
    link = tmp_path / "a link"
    link.symlink_to(clone / "doit")
    relative = tmp_path / "second"
    relative.symlink_to("a link")
    for command in ([str(link), "list"], ["./second", "list"]):
        again = doit(command, tmp_path)
        assert (again.returncode, again.stderr, again.stdout) == (0, "", first.stdout)
    inside = doit(["bash", "-c", ". .venv/bin/activate && doit list"], clone)
    assert inside.stdout == first.stdout, inside.stderr


@pytest.mark.slow
def test_with_uv_on_path_it_uses_uv_and_a_changed_lock_makes_it_anew(clone: Path) -> None:
    uv = HOME / ".venv" / "bin"
    path = f"{uv}:{os.environ['PATH']}"
    only_uv = clone.parent / "bin"
    only_uv.mkdir()
    (only_uv / "uv").symlink_to(uv / "uv")
    path = f"{only_uv}:{os.environ['PATH']}"
    with (clone / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    done = doit([str(clone / "doit"), "list"], clone, PATH=path)
    assert done.returncode == 0, done.stderr
    assert "making .venv" in done.stderr
    assert "uv" in (clone / ".venv" / "pyvenv.cfg").read_text()


def test_a_python_that_does_not_fit_is_named_with_the_cure(tmp_path: Path) -> None:
    for name in ("doit", "requirements.lock", "pyproject.toml"):
        shutil.copy(HOME / name, tmp_path / name)
    done = doit([str(tmp_path / "doit"), "list"], tmp_path, STRIXFORGE_PYTHON="/bin/false")
    assert done.returncode == 3
    assert "/bin/false" in done.stderr
    assert "next:" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_locks_name_no_address() -> None:
    for path in (HOME / "requirements.lock", *(HOME / "locks").rglob("*.txt")):
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "index-url" not in text


def test_the_environment_is_not_made_anew_under_a_run_that_uses_it(tmp_path: Path) -> None:
    for name in ("requirements.lock", "pyproject.toml", "doit"):
        shutil.copy(HOME / name, tmp_path / name)
    (tmp_path / ".venv.lock").touch()
    holder = subprocess.Popen(
        ["flock", "-s", str(tmp_path / ".venv.lock"), "-c", "echo held; sleep 60"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiting = subprocess.Popen(
            [str(tmp_path / "doit"), "list"],
            env={**clean_environment(), "STRIXFORGE_PYTHON": "/bin/false"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        assert "another run still uses it" in waiting.stderr.readline()
        assert waiting.poll() is None
    finally:
        os.killpg(holder.pid, 9)
        holder.wait()
    assert waiting.wait(20) == 3  # its turn came, and /bin/false is no Python
    waiting.stderr.close()
    if holder.stdout is not None:
        holder.stdout.close()


def test_help_is_ours_and_a_missing_lock_is_named(tmp_path: Path) -> None:
    assert "use: ./doit" in doit([str(HOME / "doit"), "--help"], tmp_path).stdout
    shutil.copy(HOME / "doit", tmp_path / "doit")
    done = doit([str(tmp_path / "doit"), "list"], tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "git checkout requirements.lock" in done.stderr
