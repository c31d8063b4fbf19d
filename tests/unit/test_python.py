"""The stack's Python: the running one, or that of a root; which wheels and markers fit it."""

import sys
from pathlib import Path

import pytest
from packaging.tags import sys_tags

from strixforge.model.errors import DataError, UnpinnedError
from strixforge.model.packages import list_file, render
from strixforge.model.pins import AptPin
from strixforge.plan.python import Python, root_python, running
from strixforge.plan.requirements import Locked, load_requirements
from strixforge.sources.cache import Cache
from strixforge.sources.index import fetch_wheel, wheel, wheel_missing
from tests.unit.home import HASH
from tests.unit.test_index import Index, locked, quiet, wheel_file
from tests.unit.test_packages import TOOL, listed
from tests.unit.test_packages import pin as pin_of
from tests.unit.web import Server

TRIXIE = Python("3.13.5", (2, 41))
OLD = Python("3.11.2", (2, 17))


def tags(python: Python) -> list[str]:
    return [str(tag) for tag in python.tags()]


def test_the_running_python_knows_its_own_tags() -> None:
    python = running()
    assert python.version == ".".join(map(str, sys.version_info[:3]))
    assert python.short == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert python.tags() == tuple(sys_tags())


def test_a_roots_python_takes_wheels_up_to_its_version_and_its_glibc() -> None:
    found = tags(TRIXIE)
    assert found[:2] == ["cp313-cp313-linux_x86_64", "cp313-cp313-manylinux_2_41_x86_64"]
    for one in (
        "cp313-cp313-manylinux_2_5_x86_64",
        "cp313-cp313-manylinux2014_x86_64",
        "cp313-cp313-manylinux1_x86_64",
        "cp313-cp313-linux_x86_64",
        "cp313-abi3-manylinux_2_28_x86_64",
        "cp39-abi3-manylinux_2_28_x86_64",
        "cp313-none-any",
        "py3-none-any",
        "py3-none-manylinux_2_34_x86_64",
    ):
        assert one in found, one
    for one in (
        "cp313-cp313-manylinux_2_42_x86_64",
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp314-abi3-manylinux_2_28_x86_64",
        "cp313-cp313-musllinux_1_2_x86_64",
        "cp313-cp313-manylinux_2_28_aarch64",
        "cp313-cp313t-manylinux_2_28_x86_64",
        "py2-none-any",
    ):
        assert one not in found, one
    assert len(found) == len(set(found))


def test_the_order_of_tags_is_that_of_packaging_on_such_a_machine() -> None:
    from packaging.tags import platform_tags

    here = [one for one in platform_tags() if one.startswith("manylinux_")]
    major, minor = (int(part) for part in here[0].split("_")[1:3])
    same = Python(running().version, (major, minor))

    def manylinux(some: list[str]) -> list[str]:
        return [one for one in some if "-manylinux" in one]

    assert manylinux(tags(same)) == manylinux([str(one) for one in sys_tags()])
    assert set(tags(same)) == {str(one) for one in sys_tags() if "musl" not in one.platform}


def pin(python: str = "3.13.5-1", libc: str = "2.41-12+deb13u2", **more: str) -> tuple[AptPin, str]:
    """Return the pin of a root with these versions, and its list."""
    import msgspec

    versions = {"python3": python, "libc6": libc} | more
    some = [
        msgspec.structs.replace(TOOL, name=name, version=version)
        for name, version in versions.items()
        if version
    ]
    packages = listed(*some, TOOL)
    return pin_of(packages), render(packages)


def read(home: Path, found: tuple[AptPin, str]) -> Python:
    path = list_file(home, found[0])
    path.parent.mkdir(parents=True)
    path.write_text(found[1])
    return root_python(home, found[0])


@pytest.mark.parametrize(
    ("python", "libc", "expected"),
    [
        ("3.13.5-1", "2.41-12+deb13u2", TRIXIE),
        ("3.11.2-1+b1", "2.17-1", OLD),
        ("3.14.0~rc2-1", "2.42~20250901-1", Python("3.14.0", (2, 42))),
        ("1:3.12-1", "2.39-0ubuntu8", Python("3.12", (2, 39))),
    ],
)
def test_a_roots_python_is_read_from_its_list(
    tmp_path: Path, python: str, libc: str, expected: Python
) -> None:
    assert read(tmp_path, pin(python, libc)) == expected


def test_before_a_root_is_locked_the_running_python_stands_in(tmp_path: Path) -> None:
    assert root_python(tmp_path, pin()[0]) == running()


@pytest.mark.parametrize(
    ("python", "libc", "what"),
    [
        ("", "2.41-12", "has no python3"),
        ("3.13.5-1", "", "has no libc6"),
        ("three", "2.41-12", "cannot be read"),
        ("3.13.5-1", "x2.41", "cannot be read"),
    ],
)
def test_a_root_without_a_python_that_is_known_is_refused(
    tmp_path: Path, python: str, libc: str, what: str
) -> None:
    with pytest.raises(DataError, match=what) as caught:
        read(tmp_path, pin(python, libc))
    assert "root (tool)" in caught.value.where


def test_markers_are_those_of_the_roots_python(tmp_path: Path) -> None:
    from packaging.markers import Marker, default_environment

    assert TRIXIE.markers().keys() <= default_environment().keys()
    text = "python_version >= '3.12' and python_full_version == '3.13.5'"
    assert Marker(text).evaluate(dict(TRIXIE.markers()))
    assert not Marker(text).evaluate(dict(OLD.markers()))
    path = tmp_path / "tool.txt"
    path.write_text(
        f"tomli==2.0 ; python_version < '3.12' --hash=sha256:{HASH}\n"
        f"cmake==3.27 --hash=sha256:{HASH}\n"
    )
    wanted = ("cmake", "tomli; python_version < '3.12'")
    names = {
        python: [one.name for one in load_requirements(path, wanted, python, what="x").locked]
        for python in (TRIXIE, OLD)
    }
    assert names == {TRIXIE: ["cmake"], OLD: ["cmake", "tomli"]}
    path.write_text(f"cmake==3.27 --hash=sha256:{HASH}\n")
    with pytest.raises(UnpinnedError, match="the lock lacks it"):
        load_requirements(path, wanted, OLD, what="x")


NAMES = [
    "tool-1.0-cp313-cp313-manylinux_2_28_x86_64.whl",
    "tool-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "tool-1.0-cp313-cp313-manylinux_2_99_x86_64.whl",
    "tool-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    "tool-1.0-cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "tool-1.0-py3-none-any.whl",
    "tool-1.0-cp313-cp313-musllinux_1_2_x86_64.whl",
]


@pytest.mark.parametrize(
    ("python", "name"),
    [
        (TRIXIE, NAMES[0]),
        (Python("3.13.5", (2, 17)), NAMES[1]),
        (Python("3.13.5", (2, 120)), NAMES[2]),
        (Python("3.11.2", (2, 41)), NAMES[3]),
        (Python("3.11.2", (2, 17)), NAMES[4]),
        (Python("3.12.0", (2, 17)), NAMES[4]),
        (Python("3.10.0", (2, 41)), NAMES[5]),
        (Python("3.13.5", (2, 5)), NAMES[5]),
    ],
)
def test_the_wheel_that_fits_a_python_and_its_glibc_best_is_chosen(
    cache: Cache,
    web: Server,
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    python: Python,
    name: str,
) -> None:
    del machine
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    files = {one: wheel_file(one) for one in NAMES}
    monkeypatch.setenv("PIP_INDEX_URL", Index(web, "json", files).url)
    wanted: Locked = locked(*files.values())
    assert wheel_missing(wanted, python, cache)
    fetch_wheel(wanted, python, cache, quiet)
    assert wheel(wanted, python, cache)[0] == name


def test_two_pythons_share_a_cache_and_each_takes_its_own_wheel(
    cache: Cache, web: Server, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del machine
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    files = {one: wheel_file(one) for one in NAMES}
    monkeypatch.setenv("PIP_INDEX_URL", Index(web, "html", files).url)
    wanted = locked(*files.values())
    fetch_wheel(wanted, TRIXIE, cache, quiet)
    assert wheel_missing(wanted, OLD, cache)
    fetch_wheel(wanted, OLD, cache, quiet)
    assert wheel(wanted, TRIXIE, cache)[0] == NAMES[0]
    assert wheel(wanted, OLD, cache)[0] == NAMES[4]
