"""What CMake made of a recipe's options: real runs of CMake where it is there, and made caches."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.forge.configured import check_configured, read_cache
from strixforge.model.checks import Check, ConfigureCheck
from strixforge.model.errors import ConfigureError
from strixforge.model.recipe import Recipe

LISTS = """\
cmake_minimum_required(VERSION 3.18)
project(tool NONE)
option(FAST "a boolean" OFF)
set(TARGETS "gfx90a" CACHE STRING "a list")
set(FIXED "mine" CACHE STRING "what upstream forces" FORCE)
set(WHERE "" CACHE PATH "a folder")
if(READ)
endif()
"""
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake is not installed")


class Work:
    """The folders of a build, and the log of its steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "build.log"
        for name in ("src", "build", "out"):
            (folder / name).mkdir()
        self.log.write_text("")
        (folder / "src" / "CMakeLists.txt").write_text(LISTS)

    def configure(self, **options: str) -> str:
        """Run CMake as a build does, with its log, and check. Returns what was proved."""
        given = [f"-D{name}={value}" for name, value in options.items()]
        command = ["cmake", "-S", str(self.folder / "src"), "-B", str(self.folder / "build")]
        done = subprocess.run(
            [*command, *given], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, done.stdout
        # As the runner writes it; tests/e2e/test_phases.py goes through the runner itself.
        self.log.write_text("".join(f"[    0.12] {x.rstrip()}\n" for x in done.stdout.split("\n")))
        return self.check(**options)

    def cache(self, text: str, place: str = "build") -> None:
        """Write a cache."""
        (self.folder / place).mkdir(exist_ok=True, parents=True)
        (self.folder / place / "CMakeCache.txt").write_text(text)

    def check(
        self, check: ConfigureCheck | None = None, /, arch: str = "gfx1151", **options: str
    ) -> str:
        """Check what is there."""
        check = check or ConfigureCheck(folder="/strixforge/build")
        recipe = Recipe(
            "prefix", "", (), (), ("x",), ("x",), {}, options, Check(configure=check), {}
        )
        return check_configured("tool", recipe, arch, self.folder, self.log)

    def refused(self, check: ConfigureCheck | None = None, /, **options: str) -> list[str]:
        """Return what is wrong, a line each."""
        with pytest.raises(ConfigureError) as caught:
            self.check(check, **options)
        assert caught.value.exit_code == 25
        *lines, log = caught.value.where.splitlines()
        assert log == f"log: {self.log}"
        return lines


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


@needs_cmake
def test_options_that_are_taken(work: Work) -> None:
    said = work.configure(FAST="ON", TARGETS="gfx1151;gfx1100", WHERE="/opt/rocm")
    assert said == "configured: 3 option(s) taken"


@needs_cmake
@pytest.mark.parametrize("value", ["1", "on", "True", "YES", "y"])
def test_booleans_may_be_spelt_otherwise(work: Work, value: str) -> None:
    work.configure(FAST="ON")
    assert "1 option(s) taken" in work.check(FAST=value)


@needs_cmake
def test_an_option_that_nobody_reads(work: Work) -> None:
    with pytest.raises(ConfigureError) as caught:
        work.configure(FAST="ON", GPU_TARGETS="gfx1151", FASTER="ON")
    assert "Manually-specified variables were not used" in work.log.read_text()
    assert (
        "GPU_TARGETS:UNINITIALIZED=gfx1151"
        in (work.folder / "build" / "CMakeCache.txt").read_text()
    )
    assert caught.value.where.splitlines()[:-1] == [
        "FASTER was given, and no CMakeLists.txt reads it",
        "GPU_TARGETS was given, and no CMakeLists.txt reads it",
    ]


@needs_cmake
def test_an_option_that_is_read_but_not_declared_is_taken(work: Work) -> None:
    assert work.configure(READ="ON") == "configured: 1 option(s) taken"


@needs_cmake
def test_an_option_that_upstream_forces(work: Work) -> None:
    with pytest.raises(ConfigureError) as caught:
        work.configure(FIXED="ours")
    assert caught.value.where.splitlines()[0] == "FIXED is 'mine', not 'ours'"


@needs_cmake
def test_what_a_folder_below_is_told_is_looked_for_there(work: Work) -> None:
    check = ConfigureCheck(folder="/strixforge/build/inner")
    work.configure(FAST="ON")
    assert work.refused(check, FAST="ON") == ["/strixforge/build/inner/CMakeCache.txt is not there"]


CACHE = """\
# This is the CMakeCache file.
//Build with X
X:BOOL=OFF
//a list
LIST:STRING=gfx1151;gfx1100
URL:STRING=a:b=c
EMPTY:STRING=
NONE:FILEPATH=NONE-NOTFOUND
X-ADVANCED:INTERNAL=1
HIP_VERSION:INTERNAL=6.4
"""


def test_a_cache_is_read_entry_by_entry(work: Work) -> None:
    work.cache(CACHE)
    assert read_cache(work.folder / "build")[0] == {
        "X": "OFF",
        "LIST": "gfx1151;gfx1100",
        "URL": "a:b=c",
        "EMPTY": "",
        "NONE": "NONE-NOTFOUND",
        "X-ADVANCED": "1",
        "HIP_VERSION": "6.4",
    }


@pytest.mark.parametrize(
    ("have", "wanted", "same"),
    [
        ("OFF", "FALSE", True),
        ("no", "0", True),
        ("N", "IGNORE", True),
        ("ON", "OFF", False),
        ("ON", "2", False),
        ("gfx1151", "gfx1151", True),
        ("gfx1151", "GFX1151", False),
        ("gfx1151;gfx1100", "gfx1151", False),
        ("6.4", "6.4.0", False),
    ],
)
def test_values_are_the_same_as_texts_or_as_booleans(
    work: Work, have: str, wanted: str, same: bool
) -> None:
    work.cache(f"X:STRING={have}\n")
    if same:
        assert work.check(X=wanted) == "configured: 1 option(s) taken"
    else:
        assert work.refused(X=wanted) == [f"X is {have!r}, not {wanted!r}"]


def test_an_option_that_is_not_in_the_cache(work: Work) -> None:
    work.cache(CACHE)
    assert work.refused(Y="ON") == ["Y is not in CMake's cache; 'ON' was wanted"]


def test_entries_beside_the_options_are_checked_exactly(work: Work) -> None:
    work.cache(CACHE)
    check = ConfigureCheck(folder="/strixforge/build", cache={"HIP_VERSION": "6.4"})
    assert work.check(check, X="OFF") == "configured: 2 option(s) taken"
    check = ConfigureCheck(folder="/strixforge/build", cache={"HIP_VERSION": "6"})
    assert work.refused(check) == ["HIP_VERSION is '6.4', not '6'"]


def test_no_cache_at_all(work: Work) -> None:
    assert work.refused(X="ON") == ["/strixforge/build/CMakeCache.txt is not there"]


def test_without_a_check_it_says_so(work: Work) -> None:
    recipe = Recipe("prefix", "", (), (), ("x",), ("x",), {}, {"X": "ON"}, Check(), {})
    said = check_configured("tool", recipe, "gfx1151", work.folder, work.log)
    assert said == "configured; its recipe checks nothing of that"


@pytest.mark.parametrize("place", ["src/build", "src", "out", "build/a/b"])
def test_the_folder_may_be_any_that_the_build_writes_to(work: Work, place: str) -> None:
    work.cache("X:BOOL=ON\n", place)
    assert work.check(ConfigureCheck(folder=f"/strixforge/{place}"), X="ON")


@pytest.mark.parametrize("folder", ["/tmp", "build", "", "/strixforge/buildings", "/strixforge"])
def test_another_folder_is_none_of_a_build(work: Work, folder: str) -> None:
    with pytest.raises(ConfigureError, match="is no folder of a build"):
        work.check(ConfigureCheck(folder=folder), X="ON")


NINJA = ConfigureCheck(folder="/strixforge/build", offload_arch=("*.ninja",))


def flags(work: Work, text: str, name: str = "build.ninja") -> None:
    path = work.folder / "build" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_one_target_and_no_other(work: Work) -> None:
    flags(work, "FLAGS = -O3 --offload-arch=gfx1151 -x hip\nFLAGS = --offload-arch=gfx1151\n")
    flags(work, "HIP_FLAGS = --cuda-gpu-arch=gfx1151", "other.ninja")
    assert work.check(NINJA) == "configured: 0 option(s) taken, 2 file(s) for gfx1151 alone"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no target at all"),
        ("-march=native gfx1151", "no target at all"),
        ("--no-offload-arch=gfx1151", "no target at all"),
        ("--offload-arch=gfx1100", "gfx1100"),
        ("--offload-arch=gfx1151 --offload-arch=gfx1100", "gfx1100, gfx1151"),
        ("--offload-arch=gfx1151,gfx1100", "gfx1100, gfx1151"),
        ("--offload-arch=gfx1151 --cuda-gpu-arch=gfx90a:xnack-", "gfx1151, gfx90a:xnack-"),
        ("--offload-arch=native", "native"),
        ("--offload-arch=gfx11-generic", "gfx11-generic"),
        ("--offload-arch=gfx11510", "gfx11510"),
    ],
)
def test_any_other_target_is_named(work: Work, text: str, found: str) -> None:
    flags(work, f"FLAGS = {text}\n")
    assert work.refused(NINJA) == [f"*.ninja: device code for {found}, not for gfx1151 alone"]


def test_a_pattern_without_a_file_is_told_beside_one_that_is_right(work: Work) -> None:
    flags(work, "--offload-arch=gfx1151")
    both = ConfigureCheck(folder="/strixforge/build", offload_arch=("*.ninja", "*/flags.make"))
    (reason,) = work.refused(both)
    assert reason == "*/flags.make: device code for no target at all, not for gfx1151 alone"


def test_what_is_no_file_of_the_build_is_not_read(work: Work) -> None:
    """A pipe would wait for ever, and a link may lead to a file of this machine."""
    import os

    cache = work.folder / "build" / "CMakeCache.txt"
    os.mkfifo(cache)
    assert work.refused(X="ON") == ["/strixforge/build/CMakeCache.txt is no regular file"]
    cache.unlink()
    cache.symlink_to("/etc/passwd")
    assert work.refused(X="ON") == ["/strixforge/build/CMakeCache.txt leads out of its folder"]


def test_files_that_are_not_there_are_no_target(work: Work) -> None:
    assert "no target at all" in work.refused(NINJA)[0]


def test_everything_wrong_is_said_at_once(work: Work) -> None:
    work.cache("X:BOOL=OFF\n")
    warning = (
        "[    0.10] CMake Warning:\n"
        "[    0.10]   Manually-specified variables were not used by the project:\n"
        "[    0.10]\n[    0.10]     Y\n[    0.11]     OTHER\n[    0.11]\n[    0.11]\n"
        "[    0.11] -- Build files have been written\n[    0.12]     X\n"
    )
    work.log.write_text(warning)
    flags(work, "--offload-arch=gfx942")
    assert work.refused(NINJA, X="ON", Y="1") == [
        "Y was given, and no CMakeLists.txt reads it",
        "X is 'OFF', not 'ON'",
        "Y is not in CMake's cache; '1' was wanted",
        "*.ninja: device code for gfx942, not for gfx1151 alone",
    ]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_cache_or_none(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    path = tmp_path_factory.mktemp("cache") / "CMakeCache.txt"
    path.write_bytes(text)
    assert all(":" not in name for name in read_cache(path.parent)[0])
