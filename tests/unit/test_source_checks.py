"""What must be in a prepared source, and what must not, on real files."""

from pathlib import Path

import pytest

from strixforge.forge.source_checks import check_source
from strixforge.model.checks import SourceCheck
from strixforge.model.errors import SourceError

LISTS = 'set(A\n  "gfx1100")\n  set(HIP_SUPPORTED_ARCHS "gfx90a;gfx1151;gfx1200")\n'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "cmake").mkdir(parents=True)
    (folder / "CMakeLists.txt").write_text(LISTS)
    (folder / "cmake" / "one.cmake").write_text("one")
    (folder / "cmake" / "two.cmake").write_text("two")
    return folder


def check(file: str, **more: str) -> SourceCheck:
    return SourceCheck(file=file, why="an architecture is dropped", **more)


def failure(source: Path, *checks: SourceCheck) -> SourceError:
    with pytest.raises(SourceError) as caught:
        check_source("tool", checks, source)
    return caught.value


@pytest.mark.parametrize(
    "one",
    [
        check("CMakeLists.txt", has=r'set\(HIP_SUPPORTED_ARCHS "[^"]*\bgfx1151\b'),
        check("CMakeLists.txt", has=r"^  set\("),
        check("CMakeLists.txt", has=r'"gfx1100"\)$'),
        check("CMakeLists.txt", has=r'set\(A[\s\S]*gfx1200"'),
        check("CMakeLists.txt", lacks=r"gfx950"),
        check("CMakeLists.txt", lacks=r"set\(A.*gfx1100"),  # . is no line end
        check("cmake/*.cmake", has="two"),
        check("**/*.cmake", has="one"),
        check("cmake/*.cmake", lacks="three"),
    ],
)
def test_a_check_that_holds(source: Path, one: SourceCheck) -> None:
    assert check_source("tool", [one], source) == 1


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (check("CMakeLists.txt", has="gfx950"), "'gfx950' is not in it."),
        (check("CMakeLists.txt", lacks="gfx1151"), "'gfx1151' is in it."),
        (check("cmake/*.cmake", lacks="two"), "'two' is in it."),
        (check("cmake/*.cmake", has="three"), "'three' is not in it."),
        (check("setup.py", has="x"), "no such file in the source."),
        (check("setup.py", lacks="x"), "no such file in the source."),
        (check("*.py", lacks="x"), "no such file in the source."),
        (check("cmake", has="one"), "no such file in the source."),
    ],
)
def test_a_check_that_does_not_hold_says_why(source: Path, one: SourceCheck, why: str) -> None:
    error = failure(source, one)
    assert error.exit_code == 24
    assert error.where.startswith(f"{one.file}: {why}\n  because an architecture is dropped")


def test_every_check_that_fails_is_named_at_once(source: Path) -> None:
    error = failure(
        source, check("a", has="x"), check("cmake/one.cmake", has="one"), check("b", lacks="y")
    )
    assert [line.partition(":")[0] for line in error.where.splitlines()] == [
        *("a", "  because an architecture is dropped"),
        *("b", "  because an architecture is dropped"),
        "source",
    ]


def test_a_file_outside_is_not_read_through_a_link(source: Path) -> None:
    outside = source.parent / "outside.txt"
    outside.write_text("secret")
    (source / "link.txt").symlink_to(outside)
    (source / "up").symlink_to(source.parent)
    for file in ("link.txt", "up/outside.txt"):
        assert "no such file" in failure(source, check(file, has="secret")).where


def test_a_link_inside_is_followed(source: Path) -> None:
    (source / "link.txt").symlink_to("cmake/one.cmake")
    assert check_source("tool", [check("link.txt", has="one")], source) == 1


def test_bytes_that_are_no_text_are_searched_all_the_same(source: Path) -> None:
    (source / "latin1.h").write_bytes(b"\xa9 someone\n#define ARCH gfx1151\n\0\xff")
    assert check_source("tool", [check("latin1.h", has="ARCH gfx1151$")], source) == 1


def test_a_file_beyond_the_bound_is_named_not_read(source: Path) -> None:
    with (source / "huge.txt").open("wb") as file:
        file.truncate((64 << 20) + 1)
    assert "huge.txt is larger than 64 MiB." in failure(source, check("huge.txt", has="x")).where


def test_no_check_is_no_failure(source: Path) -> None:
    assert check_source("tool", [], source) == 0


@pytest.mark.parametrize("file", ["**.cmake", "cmake/**b", "."])
def test_a_pattern_that_is_none_is_an_error_of_the_recipe(file: str) -> None:
    assert "is no pattern of files" in check(file, has="x").unfit()
