"""TOML into data: every fault names file, place and what could stand there."""

import string
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import DataError
from strixforge.model.loading import convert, nearest, read_toml
from tests.unit.home import refusal


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    colour: Literal["red", "green"] = "red"
    words: tuple[Annotated[str, msgspec.Meta(pattern="^[a-z]+$", description="Letters.")], ...] = ()


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    inner: Inner = Inner()
    tables: dict[str, Inner] = {}


def fault(raw: Any, key: str = "") -> DataError:
    with pytest.raises(DataError) as caught:
        convert(raw, Outer, file=Path("some.toml"), key=key)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = = 2\n", "line 2"),
        ("a = 1\nb = [1,\n", "line 2"),
        ('a = 1\n\nb = """x', "line 3"),
        ("a = 1\na = 2", "line 2"),
        ("", "line 1"),
    ],
)
def test_broken_toml_names_file_and_line(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text or "[")
    with pytest.raises(DataError) as caught:
        read_toml(path)
    assert line in caught.value.what
    assert caught.value.where == str(path)
    assert caught.value.fix


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000, "a = 1e99999x"])
def test_toml_made_to_break_parsers_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(text)
    with pytest.raises(DataError, match="is not TOML"):
        read_toml(path)


def test_a_missing_file_a_folder_and_bad_utf8_each_have_their_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "latin.toml"
    bad.write_bytes(b'a = "\xe9"')
    for path, words in (
        (tmp_path / "none.toml", "does not exist"),
        (tmp_path, "cannot be read"),
        (bad, "not UTF-8"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            read_toml(path)
        assert str(path) in caught.value.where


def test_an_unknown_key_names_its_place_and_the_nearest_key_of_that_table() -> None:
    error = fault({"name": "x", "inner": {"color": "red"}}, key="stack.a")
    assert error.what == "unknown key 'color'."
    assert error.where == "some.toml: stack.a.inner"
    assert error.fix == "Did you mean 'colour'?"


def test_a_key_of_another_table_is_not_suggested() -> None:
    error = fault({"name": "x", "colour": "red"})
    assert error.where == "some.toml: top level"
    assert error.fix == "Known: inner, name, tables."


def test_a_wrong_choice_names_the_nearest_value() -> None:
    error = fault({"name": "x", "tables": {"a": {"colour": "gren"}}})
    assert error.what == "'gren' is not a value of this key."
    assert error.where == "some.toml: tables[...].colour"
    assert error.fix == "Did you mean 'green'?"


def test_a_wrong_form_says_what_the_form_is() -> None:
    error = fault({"name": "x", "inner": {"words": ["ok", "NO"]}})
    assert error.where == "some.toml: inner.words[1]"
    assert error.fix == "Letters."


def test_a_wrong_type_and_a_missing_key_name_their_place() -> None:
    assert fault({"name": 5}).where == "some.toml: name"
    assert fault({"name": 5}).what == "Expected 'str', got 'int'."
    assert fault({}).what == "missing key 'name'."


def test_nearest_lists_all_names_when_none_is_near() -> None:
    assert nearest("zzz", ["alpha", "beta"]) == "Known: alpha, beta."
    assert nearest("alpa", ["alpha", "beta"]) == "Did you mean 'alpha'?"
    assert nearest("x", []) == ""


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
keys = st.sampled_from(["name", "inner", "tables", "colour", "words"]) | st.text(
    string.printable, max_size=6
)
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)
)


@given(anything)
def test_any_structure_is_data_or_a_data_error(raw: Any) -> None:
    error = refusal(lambda: convert(raw, Outer, file=Path("f"), key=""), DataError)
    assert error is None or error.where.startswith("f: ")
