"""The demo stack of this very clone, built once for all tests here (or found built)."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]


def clean_environment() -> dict[str, str]:
    """Return the environment without what an activated stack or the test run itself adds."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STRIXFORGE_", "VIRTUAL_ENV", "PYTEST_"))
    }


def other_user(place: Path) -> tuple[list[str], str]:
    """Give the folder `place` to another user, who has the umask 077.

    Returns the words that begin a command as that user, and a Python that both users can read.
    """
    user, python = ["sh", "-c", 'umask 077; exec "$@"', "sh"], sys.executable
    if os.getuid() == 0:
        if sys.base_prefix.startswith(("/root", "/home")):
            python = "/usr/bin/python3"
        nobody = pwd.getpwnam("nobody").pw_uid
        subprocess.run(["chown", "-R", str(nobody), str(place)], check=True)
        for folder in place.parents:
            folder.chmod(folder.stat().st_mode | 0o011)
        user = ["setpriv", f"--reuid={nobody}", "--regid=65534", "--clear-groups", *user]
    return user, python


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    done = subprocess.run(
        [str(HOME / "doit"), "stack=demo", "wheelhouse"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return HOME / "build" / "wheelhouse" / "demo"


@pytest.fixture(scope="session")
def prefix(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed stack, in a path with a space, made without any network interface."""
    place = tmp_path_factory.mktemp("installed") / "my stack"
    done = subprocess.run(
        ["unshare", "-rn", str(wheelhouse / "install.sh"), str(place)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert f". '{place / 'activate.sh'}'" in done.stdout
    return place
