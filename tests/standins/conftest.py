"""Both stacks of stand-ins, built once."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.project import STACKS, Standins

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strixforge"


@pytest.fixture(scope="session")
def standins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standins]:
    """Return a project with nothing built; it is some gigabytes in the end, and removed."""
    made = Standins(tmp_path_factory.mktemp("standins") / "project", CACHE)
    yield made
    made.give_back(CACHE)
    shutil.rmtree(made.home)


@pytest.fixture(scope="session")
def first_runs(standins: Standins) -> dict[str, str]:
    """Return what the first `wheelhouse` of each stack said."""
    return {stack: standins.doit(stack, "wheelhouse").check(0) for stack in STACKS}
