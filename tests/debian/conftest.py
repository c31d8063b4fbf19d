"""The debian stack of this very clone: real hipcc in a root of packages, built once."""

import subprocess
from pathlib import Path

import pytest

from tests.demo.conftest import HOME, clean_environment


def doit(*words: str, home: Path = HOME) -> str:
    """Run ./doit for the debian stack; return what it said."""
    done = subprocess.run(
        [str(home / "doit"), "stack=debian", *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    doit("wheelhouse")
    return HOME / "build" / "wheelhouse" / "debian"


@pytest.fixture(scope="session")
def root(wheelhouse: Path) -> Path:
    """The unpacked root."""
    del wheelhouse  # it was built in that root
    return tree("trixie")


def tree(component: str) -> Path:
    """Return the stored output of a component of the debian stack."""
    import json

    state = json.loads((HOME / "build" / "state" / "debian" / f"{component}.json").read_text())
    return HOME / "build" / "store" / "objects" / str(state["output"]) / "tree"
