"""A wheelhouse installs from where nothing can be written, after being killed, or says why not."""

import json
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.tiny import real_pip, tiny_wheelhouse

MARK = ".strixforge-install.json"


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wheelhouse(tmp_path_factory.mktemp("made") / "the 'wheel' house", real_pip())


def environment(python: str = sys.executable) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "STRIXFORGE_PYTHON": python}


def install(
    wheelhouse: Path, *words: str | Path, around: tuple[str, ...] = (), python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*around, str(wheelhouse / "install.sh"), *words],
        env=environment(python),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done


def is_whole(prefix: Path) -> bool:
    done = subprocess.run(
        [prefix / "env/bin/strixforge-verify"], capture_output=True, text=True, timeout=60
    )
    return done.returncode == 0 and "whole: " in done.stdout


def test_check_looks_at_everything_and_writes_nothing(wheelhouse: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in wheelhouse.rglob("*")}
    done = install(wheelhouse, "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("tiny: all 9 files are whole\n")
    assert {path: path.stat().st_mtime_ns for path in wheelhouse.rglob("*")} == before


@pytest.mark.parametrize("name", ['it\'s a "pre$fix"', "日本 é", "a, b; c & d", "%41#? `x` \\n"])
def test_a_folder_may_have_any_name(wheelhouse: Path, tmp_path: Path, name: str) -> None:
    prefix = tmp_path / name
    done = install(wheelhouse, prefix)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert shlex.split(last) == ["next:", ".", str(prefix / "activate.sh")]
    assert subprocess.check_output([prefix / "env/bin/tiny"], text=True) == "tiny works\n"
    assert is_whole(prefix)


def test_a_plain_user_installs_from_what_nobody_can_write(tmp_path: Path) -> None:
    """As from a disc: nobody may write there, and the umask of the user lets nobody else read."""
    wheelhouse = tiny_wheelhouse(tmp_path / "read only", real_pip())
    for path in [wheelhouse, *wheelhouse.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o555)
    home = tmp_path / "their home"
    home.mkdir()
    user, python = ["sh", "-c", 'umask 077; exec "$@"', "sh"], sys.executable
    if os.getuid() == 0:
        python = "/usr/bin/python3"
        nobody = pwd.getpwnam("nobody").pw_uid
        os.chown(home, nobody, nobody)
        for folder in home.parents:
            folder.chmod(folder.stat().st_mode | 0o011)
        user = ["setpriv", f"--reuid={nobody}", "--regid=65534", "--clear-groups", *user]
    done = install(wheelhouse, home / "the prefix", around=tuple(user), python=python)
    assert done.returncode == 0, done.stderr
    assert is_whole(home / "the prefix")
    assert not list(wheelhouse.rglob("__pycache__"))
    for path in [wheelhouse, *wheelhouse.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)


def test_media_that_cannot_be_written_or_run_from(wheelhouse: Path, tmp_path: Path) -> None:
    mounts = (
        'mount --bind "$1" "$1" && mount -o remount,ro,noexec,bind "$1"'
        ' && ! touch "$1/x" 2> /dev/null && exec sh "$1/install.sh" "$2"'
    )
    command = ["unshare", "-rm", "sh", "-c", mounts, "sh", str(wheelhouse), str(tmp_path / "p")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr:
        pytest.skip("no user namespaces")
    assert done.returncode == 0, done.stderr
    assert is_whole(tmp_path / "p")


@pytest.mark.parametrize("size", ["12k", "40k", "60k"])
def test_a_full_disk_is_said(wheelhouse: Path, tmp_path: Path, size: str) -> None:
    mounts = f'mount -t tmpfs -o size={size} none "$0" && exec "$1" "$0/prefix"'
    command = ["unshare", "-rm", "sh", "-c", mounts, str(tmp_path), str(wheelhouse / "install.sh")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr:
        pytest.skip("no user namespaces")
    assert done.returncode == 5, done
    assert "No space left on device" in done.stderr
    assert "next: free space, or name a folder on another disk" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_said(wheelhouse: Path) -> None:
    done = install(wheelhouse, "/proc/nothing/here")
    assert done.returncode == 5
    assert "/proc/nothing" in done.stderr
    assert "next: " in done.stderr


def test_a_file_in_the_way_is_said(wheelhouse: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = install(wheelhouse, tmp_path / "file")
    assert done.returncode == 2
    assert f"{tmp_path / 'file'} is no folder." in done.stderr


def killed_after(wheelhouse: Path, prefix: Path, seconds: float) -> bool:
    """Install, and kill all of it after a time; say whether it was still at work."""
    with subprocess.Popen(
        [wheelhouse / "install.sh", prefix],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        time.sleep(seconds)
        at_work = run.poll() is None
        if at_work:
            os.killpg(run.pid, signal.SIGKILL)
    return at_work


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True], ids=["new", "over an earlier one"])
def test_an_installation_that_was_killed_is_completed(
    wheelhouse: Path, tmp_path: Path, earlier: bool
) -> None:
    prefix = tmp_path / "prefix"
    killed = 0
    for seconds in (0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 1.5, 2.0):
        shutil.rmtree(prefix, ignore_errors=True)
        if earlier:
            assert install(wheelhouse, prefix).returncode == 0
            (prefix / "notes").write_text("mine")
        killed += killed_after(wheelhouse, prefix, seconds)
        cut_off = (prefix / MARK).exists() and not json.loads((prefix / MARK).read_text())[
            "complete"
        ]
        # What is not complete can neither be activated nor pass for whole.
        assert not cut_off or not (prefix / "activate.sh").exists()
        done = install(wheelhouse, prefix)
        assert done.returncode == 0, (seconds, done.stderr)
        assert is_whole(prefix)
        assert not earlier or (prefix / "notes").read_text() == "mine"
        assert not (prefix / f"{MARK}.new").exists()
    assert killed > 3


def test_what_a_kill_leaves_in_the_first_moment_is_no_obstacle(
    wheelhouse: Path, tmp_path: Path
) -> None:
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    (prefix / f"{MARK}.new").write_text('{"compl')
    assert install(wheelhouse, prefix).returncode == 0
    assert is_whole(prefix)


def test_what_is_half_installed_can_be_moved_away_from(wheelhouse: Path, tmp_path: Path) -> None:
    """The parts of an installation that was cut off are known, and links in their place too."""
    prefix = tmp_path / "prefix"
    (prefix / "env").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").touch()
    (prefix / "stuff").symlink_to(tmp_path / "elsewhere")
    (prefix / MARK).write_text('{"complete": false, "parts": ["env", "stuff"]}')
    assert install(wheelhouse, prefix).returncode == 0
    assert is_whole(prefix)
    assert (tmp_path / "elsewhere" / "mine").exists()


def test_an_earlier_installation_is_as_it_was_when_the_wheelhouse_is_damaged(
    wheelhouse: Path, tmp_path: Path
) -> None:
    prefix = tmp_path / "prefix"
    assert install(wheelhouse, prefix).returncode == 0
    damaged = shutil.copytree(wheelhouse, tmp_path / "damaged")
    (damaged / "prefixes" / "stuff-2.0.tar").write_bytes(b"")
    done = install(damaged, prefix)
    assert done.returncode == 4
    assert "prefixes/stuff-2.0.tar was changed" in done.stderr
    assert is_whole(prefix)


def test_two_installations_list_the_same_files(wheelhouse: Path, tmp_path: Path) -> None:
    """No clock gets in. pyvenv.cfg and what activates name the folder, so it is the same one."""
    prefix = tmp_path / "prefix"
    found = []
    for name in ("first", "second"):
        assert install(wheelhouse, prefix).returncode == 0
        found.append((prefix / ".strixforge-files.json").read_bytes())
        assert is_whole(prefix.rename(tmp_path / name))
    assert found[0] == found[1]
