"""locks/<stack>/<component>.txt."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import DataError, UnpinnedError
from strixforge.plan.python import running
from strixforge.plan.requirements import Requirements, load_requirements
from tests.unit.home import refusal

A, B = "a" * 64, "b" * 64


def load(tmp_path: Path, text: str, *wanted: str) -> Requirements:
    path = tmp_path / "tool.txt"
    path.write_text(text)
    return load_requirements(path, wanted or ("cmake",), running(), what="build of tool")


def test_names_versions_and_every_hash_are_read_and_sorted(tmp_path: Path) -> None:
    text = f"""\
# Written by ./doit lock
Ninja==1.13.0 \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}   # two files
cmake==3.27  --hash=sha256:{A}

tomli==2.0 ; python_version < "3" --hash=sha256:{A}
"""
    read = load(tmp_path, text, "cmake>=3.20", "ninja")
    assert [(one.name, one.version) for one in read.locked] == [
        ("cmake", "3.27"),
        ("ninja", "1.13.0"),
    ]
    assert read.locked[1].hashes == {A, B}


def test_comments_order_and_layout_do_not_change_the_key(tmp_path: Path) -> None:
    one = load(tmp_path, f"cmake==3.27 --hash=sha256:{A}\nninja==1.13 --hash=sha256:{B}\n")
    other = load(
        tmp_path, f"# new\nninja==1.13 \\\n --hash=sha256:{B}\n\ncmake==3.27 --hash=sha256:{A}"
    )
    assert one.key() == other.key()
    assert load(tmp_path, f"cmake==3.27 --hash=sha256:{B}").key() != one.key()


def test_nothing_wanted_needs_no_file(tmp_path: Path) -> None:
    assert load_requirements(tmp_path / "none.txt", (), running(), what="x").locked == ()


@pytest.mark.parametrize(
    "line",
    [
        "cmake==3.27",
        "cmake>=3.27 --hash=sha256:" + A,
        "cmake==3.* --hash=sha256:" + A,
        "cmake===3.27 --hash=sha256:" + A,
        "cmake --hash=sha256:" + A,
        "cmake @ https://example.org/cmake.whl --hash=sha256:" + A,
        "cmake==3.27,!=3.28 --hash=sha256:" + A,
    ],
)
def test_a_requirement_without_exact_version_and_hash_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(UnpinnedError, match="not pinned by version and sha256") as caught:
        load(tmp_path, f"# head\n{line}\n")
    assert caught.value.where.endswith("tool.txt: line 2")
    assert caught.value.fix == "./doit lock"


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.org/simple",
        "-r other.txt",
        "cmake==3.27 --hash=md5:abc",
        f"cmake==3.27 --hash=sha256:{A}{A}",
        "???",
    ],
)
def test_a_line_that_is_no_requirement_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match="not a locked requirement") as caught:
        load(tmp_path, f"\n{line}\n")
    assert caught.value.where.endswith("tool.txt: line 2")


def test_a_lock_that_is_missing_or_lacks_what_is_wanted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnpinnedError, match="are not locked"):
        load_requirements(tmp_path / "none.txt", ("cmake",), running(), what="build of tool")
    text = f"cmake==3.27 --hash=sha256:{A}"
    with pytest.raises(UnpinnedError, match="the lock lacks it"):
        load(tmp_path, text, "ninja")
    with pytest.raises(UnpinnedError, match=r"the lock has 3.27"):
        load(tmp_path, text, "cmake>=4")


def test_a_requirement_for_another_python_need_not_be_locked(tmp_path: Path) -> None:
    text = f"cmake==3.27 --hash=sha256:{A}"
    assert load(tmp_path, text, "cmake", 'tomli; python_version < "3"').locked


def test_two_versions_of_one_project_are_refused(tmp_path: Path) -> None:
    text = f"cmake==3.27 --hash=sha256:{A}\nCMake==3.28 --hash=sha256:{B}\n"
    with pytest.raises(DataError, match="locked twice"):
        load(tmp_path, text)


def test_a_lock_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tool.txt").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "tool.txt", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            load_requirements(path, ("cmake",), running(), what="x")


tokens = [
    *("cmake", "==", "3.27", "*", ";", "python_version", "<", "'3'", "extra", "in", "\\\n", "\n"),
    *(" --hash=sha256:" + A, "#", " ", "[x]", "@ ", "https://x", "!="),
]
parts = st.lists(st.sampled_from(tokens), max_size=14).map("".join)


@given(parts | st.text(max_size=40))
def test_any_text_is_requirements_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("locks") / "tool.txt"
    path.write_text(text, encoding="utf-8", errors="replace")
    error = refusal(
        lambda: load_requirements(path, ("cmake",), running(), what="x"), DataError, UnpinnedError
    )
    assert error is None or str(path) in error.where
