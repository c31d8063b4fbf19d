"""Packages taken without what they depend on, and a root whose builds use another Python."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from strixforge.forge import roots
from strixforge.model.errors import DataError, FetchError, UnpinnedError
from strixforge.model.packages import load_packages
from strixforge.model.pins import AptPin
from strixforge.plan.python import Python, root_python
from strixforge.sources import Site, apt
from tests.unit.debian_archive import Archive, Files, Keys, file
from tests.unit.home import Home
from tests.unit.test_apt_source import World, quiet
from tests.unit.test_packages import TOOL, listed, write
from tests.unit.web import Server

PIN = AptPin(
    component="tool",
    version="1.0",
    epoch=1_600_000_000,
    repositories=("tests",),
    packages=("tool",),
    alone=("headers",),
    folder="opt/tool",
)


@pytest.fixture(scope="module")
def signed(keys: Keys) -> Files:
    archive = Archive()
    archive.add("tool", "1.0", file("opt/tool/bin/tool", b"tool"), Depends="base")
    archive.add("base", "2.0", file("opt/tool/lib/base", b"base"))
    archive.add("headers", "1.0", file("opt/tool/include/old.h", b"old"))
    archive.add("headers", "3.0", file("opt/tool/include/x.h", b"x"), Depends="huge, nothing")
    archive.add("huge", "1.0", file("opt/tool/lib/huge", b"huge"))
    return archive.files(keys)


@pytest.fixture
def world(site: Site, keys: Keys, web: Server, signed: Files) -> World:
    return World(site, keys, web, signed)


def names(world: World, **more: Any) -> list[str]:
    pin = msgspec.structs.replace(PIN, **more)
    return [str(one) for one in world.resolve(pin).package]


def test_what_stands_alone_comes_without_what_it_depends_on(world: World) -> None:
    assert names(world) == ["base 2.0", "headers 3.0", "tool 1.0"]


def test_asked_for_as_usual_it_brings_them(world: World) -> None:
    found = world.resolve(msgspec.structs.replace(PIN, packages=("headers",), alone=()))
    assert [str(one) for one in found.package] == ["headers 3.0", "huge 1.0"]
    assert found.left == ("nothing",)


def test_what_it_lacks_is_not_told_as_left_to_the_root(world: World) -> None:
    assert world.resolve(PIN).left == ()


def test_a_root_may_have_some_too(world: World) -> None:
    assert names(world, folder=None) == ["base 2.0", "headers 3.0", "tool 1.0"]


def test_what_is_a_dependency_as_well_stays_one(world: World) -> None:
    assert names(world, alone=("base",)) == ["base 2.0", "tool 1.0"]


def test_a_package_that_nobody_has_is_named(world: World) -> None:
    with pytest.raises(FetchError, match="no repository of the pin has the package missing") as e:
        names(world, alone=("missing",))
    assert e.value.where == "tool: alone"


def test_both_are_unpacked(world: World) -> None:
    pin = world.lock(PIN)
    apt.fetch(pin, world.site, quiet)
    target = world.unpack(pin)
    found = {one.relative_to(target).as_posix() for one in target.rglob("*") if one.is_file()}
    assert found == {"bin/tool", "lib/base", "include/x.h"}


def test_the_list_must_be_of_the_pins_packages(world: World) -> None:
    pin = world.lock(PIN)
    found = load_packages(world.site.home, pin)
    assert (found.wanted, found.alone) == (("tool",), ("headers",))
    with pytest.raises(UnpinnedError, match="asks for other packages than were locked: headers"):
        load_packages(world.site.home, msgspec.structs.replace(pin, alone=()))
    with pytest.raises(UnpinnedError, match="were locked: huge"):
        load_packages(world.site.home, msgspec.structs.replace(pin, alone=("headers", "huge")))


def test_a_package_that_no_longer_stands_alone_must_be_locked_anew(world: World) -> None:
    pin = world.lock(PIN)
    moved = msgspec.structs.replace(pin, packages=("tool", "headers"), alone=())
    with pytest.raises(UnpinnedError):
        load_packages(world.site.home, moved)


def packages_of_root(*pythons: str) -> Any:
    """Return a root's packages, with Pythons as `python3=3.13.5-1`."""
    made = [msgspec.structs.replace(TOOL, name="libc6", version="2.41-12")]
    for one in pythons:
        name, _, version = one.partition("=")
        made.append(msgspec.structs.replace(TOOL, name=name, version=version))
    return listed(*made)


def test_a_roots_python_is_the_usual_one(tmp_path: Path) -> None:
    pin = write(tmp_path, packages_of_root("python3=3.13.5-1", "python3.12=3.12.9-1"))
    assert root_python(tmp_path, pin) == Python("3.13.5", (2, 41))


def test_a_root_may_say_which_python_its_builds_use(tmp_path: Path) -> None:
    packages = packages_of_root("python3=3.13.5-1", "python3.12=3.12.9-1")
    pin = write(tmp_path, packages, python="3.12")
    assert root_python(tmp_path, pin) == Python("3.12.9", (2, 41))


def test_a_python_that_the_root_does_not_have(tmp_path: Path) -> None:
    pin = write(tmp_path, packages_of_root("python3=3.13.5-1"), python="3.12")
    with pytest.raises(DataError, match=r"has no python3\.12") as caught:
        root_python(tmp_path, pin)
    assert caught.value.fix == "Add python3.12 to its packages, then: ./doit lock"


@pytest.mark.parametrize("python", ["3", "3.13.5", "python3.12", "2.7", ""])
def test_another_form_of_that_is_refused(home: Home, python: str) -> None:
    home.pin("tool")
    with home.lock_file.open("a") as lock:
        lock.write(
            '[repository.tests]\nsuite = "s"\ncomponents = ["main"]\nurl = "https://e/x"\n'
            f'keys = ["{"A" * 40}"]\nkey_url = "https://e/k"\n'
            '[[root]]\ncomponent = "os"\nversion = "1"\nepoch = 1600000000\nsource = "apt"\n'
            f'repositories = ["tests"]\npackages = ["python3"]\npython = "{python}"\n'
        )
    with pytest.raises(DataError, match="form of this key") as caught:
        home.lock()
    assert caught.value.where.endswith("root (os).python")


def test_steps_call_the_python_that_was_asked_for(tmp_path: Path) -> None:
    root = roots.tree(tmp_path, "3.12")
    assert root.python.endswith("python3.12")
    assert roots.tree(tmp_path, None).python.endswith("python3")
