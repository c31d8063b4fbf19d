"""[[together]] of the lock: pins that fit each other, and a run that chose others."""

from typing import Any

import pytest

from strixforge.model.errors import DataError, PolicyError
from strixforge.model.lock import Together
from strixforge.opening import open_workspace
from strixforge.workspace import Workspace
from tests.unit.home import Home

SET = Together(
    id="torch-2.8",
    pins=("pytorch==2.8.*", "triton==3.4.*", "aotriton>=0.10b0,<0.11"),
    source="somebody",
)


@pytest.mark.parametrize(
    ("versions", "misfits"),
    [
        ({}, []),
        ({"triton": "3.8"}, []),
        ({"pytorch": "2.9.0", "triton": "3.8"}, []),
        ({"pytorch": "2.8.0"}, []),
        ({"pytorch": "2.8.0", "triton": "3.4.0", "aotriton": "0.10b0"}, []),
        ({"pytorch": "2.8.0", "triton": "3.8"}, ["triton==3.4.*"]),
        (
            {"pytorch": "2.8.0", "triton": "3.8", "aotriton": "0.13b0"},
            ["triton==3.4.*", "aotriton>=0.10b0,<0.11"],
        ),
    ],
)
def test_the_rest_must_hold_where_the_first_does(
    versions: dict[str, str], misfits: list[str]
) -> None:
    assert SET.misfits(versions) == misfits


def together(home: Home, pins: str, **more: str) -> None:
    """Pin a tool, and add a set to the lock."""
    home.pin("tool")
    values = {"id": '"a-set"', "pins": pins, "source": '"a table upstream"'} | more
    lines = "".join(f"{key} = {value}\n" for key, value in values.items() if value)
    with home.lock_file.open("a") as file:
        file.write(f"[[together]]\n{lines}")


def test_it_is_read_from_the_lock(home: Home) -> None:
    together(home, '["tool==1.*", "lib<2"]')
    (one,) = home.lock().together
    assert (one.id, one.pins, one.source) == ("a-set", ("tool==1.*", "lib<2"), "a table upstream")


@pytest.mark.parametrize(
    ("pins", "more", "key"),
    [
        ('["tool==1"]', {}, "together (a-set).pins"),
        ('["tool==1", "lib=2"]', {}, "together (a-set).pins"),
        ('["tool==1", "lib"]', {"source": ""}, "together (a-set)"),
        ('["tool==1", "lib"]', {"note": '"x"'}, "together (a-set)"),
        ('["tool==1", "lib"]', {"id": '"A Set"'}, "together (A Set).id"),
    ],
)
def test_a_bad_set_names_its_key(home: Home, pins: str, more: dict[str, str], key: str) -> None:
    together(home, pins, **more)
    with pytest.raises(DataError) as caught:
        home.lock()
    assert caught.value.where == f"{home.lock_file}: {key}"


@pytest.fixture
def two(home: Home) -> Home:
    """Return a stack of a tool at 1.0, and a lib to choose at 1.0 or 2.0, that go together."""
    home.write("policy.toml", "rule = []\n")
    home.recipe("tool")
    home.component("lib")
    home.pin("lib", "2.0")
    together(home, '["tool==1.*", "lib<2"]')
    return home


def opened(home: Home, **given: Any) -> Workspace:
    return open_workspace(home.root, given, {})


def test_pins_that_fit_open_a_run(two: Home) -> None:
    assert opened(two).plan.versions() == {"tool": "1.0", "lib": "1.0"}


def test_pins_of_two_sets_are_refused_with_the_source(two: Home) -> None:
    with pytest.raises(PolicyError) as caught:
        opened(two, lib="2.0")
    error = caught.value
    assert error.exit_code == 12
    assert error.what == "the pins of stack main do not fit each other: set a-set."
    assert error.where == f"{two.lock_file}: together (a-set)"
    assert error.cause == ("With tool==1.* go lib<2; chosen: lib 2.0.\nsource: a table upstream")


def test_a_set_of_other_pins_says_nothing(two: Home) -> None:
    two.pin("tool", "2.0")
    assert opened(two, tool="2.0", lib="2.0").plan.versions() == {"tool": "2.0", "lib": "2.0"}
