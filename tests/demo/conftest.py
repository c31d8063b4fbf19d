"""The demo stack of this very clone, built once for all tests here (or found built)."""

import os
import subprocess
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
