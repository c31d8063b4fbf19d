"""toolchain.lock."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import DataError, UnpinnedError, UsageError
from strixforge.model.lock import (
    RESERVED,
    ArchivePin,
    GitPin,
    load_lock,
    require_pinned,
    same_version,
)
from strixforge.settings import VARIABLES
from tests.unit.home import HASH, Home, refusal, toml_file

COMMIT = "0123456789" * 4


def fault(home: Home) -> DataError:
    with pytest.raises(DataError) as caught:
        home.lock()
    assert str(home.lock_file) in caught.value.where
    return caught.value


def test_every_kind_of_source_is_read(home: Home) -> None:
    home.pin("a", source="git", url="https://example.org/a.git", commit=COMMIT, ref="v1.0")
    home.pin("b", source="archive", url="https://example.org/b.tar.gz", sha256=HASH)
    home.pin("c", source="index", name="c", sha256=HASH)
    home.pin("d", source="local", path="examples/d")
    pins = home.lock().stack("main").pins
    assert [type(pin).__name__ for pin in pins] == ["GitPin", "ArchivePin", "IndexPin", "LocalPin"]
    for pin in pins:
        require_pinned(pin, where="here")


@pytest.mark.parametrize(
    ("more", "where", "fix"),
    [
        ({"source": "gti", "url": "u"}, "pin (a).source", "Did you mean 'git'?"),
        ({"source": "git", "url": "u", "comit": "x"}, "pin (a)", "Did you mean 'commit'?"),
        ({"source": "git", "url": "u", "commit": "v1.0"}, "pin (a).commit", "40 hexadecimal"),
        ({"source": "git", "url": "u", "commit": "A" * 40}, "pin (a).commit", "40 hexadecimal"),
        ({"source": "git", "url": "--upload-pack=x"}, "pin (a).url", "address"),
        ({"source": "archive", "url": "u", "sha256": HASH}, "pin (a).url", "https"),
        ({"source": "archive", "url": "https://x/", "sha256": "abc"}, "pin (a).sha256", "64"),
        ({"source": "index", "name": "../etc", "sha256": HASH}, "pin (a).name", "project"),
        ({"source": "local", "path": 5}, "pin (a).path", ""),
        ({"version": "6.4 final"}, "pin (a).version", "6.4.4"),
        ({"version": "latest"}, "pin (a).version", "6.4.4"),
        ({"epoch": 5}, "pin (a).epoch", ""),
        ({"epoch": 10**12}, "pin (a).epoch", ""),
    ],
)
def test_a_bad_pin_names_file_key_path_and_what_could_stand_there(
    home: Home, more: dict[str, Any], where: str, fix: str
) -> None:
    home.pin("a", **more)
    error = fault(home)
    assert error.where == f"{home.lock_file}: stack.main.{where}"
    assert fix in error.fix


def test_a_pin_without_its_address_is_refused(home: Home) -> None:
    home.pin("a", source="git")
    assert fault(home).what == "missing key 'url'."


def test_an_address_that_cannot_be_parsed_is_refused(home: Home) -> None:
    home.pin("a", source="archive", url="http://[half", sha256=HASH)
    assert "not valid" in fault(home).what


@pytest.mark.parametrize("url", ["ftp://x/y", "https://x/a b", "https://x/\\u0000", "/etc/passwd"])
def test_an_archive_comes_from_the_web_or_a_file_address(home: Home, url: str) -> None:
    home.pin("a")
    text = home.lock_file.read_text().replace("'https://example.org/a-1.0.tar.gz'", f'"{url}"')
    home.lock_file.write_text(text)
    assert "address" in fault(home).fix


def test_a_version_may_be_pinned_once_only(home: Home) -> None:
    home.pin("a", "1.0")
    home.pin("a", "1.0.0")
    assert "pinned twice" in fault(home).what


def test_words_of_the_command_line_and_of_templates_are_no_component_names(home: Home) -> None:
    assert set(VARIABLES) <= RESERVED
    home.pin("source")
    assert "cannot be named 'source'" in fault(home).what


def test_stack_names_cannot_leave_the_folder_of_locks(home: Home) -> None:
    home.write("toolchain.lock", "version=1\ndefault='../x'\n[stack.'../x']\nsummary='s'\npin=[]\n")
    assert "small letters" in fault(home).fix


def test_an_unknown_default_and_an_unknown_stack_suggest_the_nearest(home: Home) -> None:
    home.pin("a")
    with pytest.raises(UsageError) as caught:
        home.lock().stack("mian")
    assert caught.value.fix == "Did you mean 'main'?"
    text = home.lock_file.read_text().replace('default = "main"', 'default = "mane"')
    home.lock_file.write_text(text)
    assert fault(home).fix == "Did you mean 'main'?"


def test_the_first_pin_holds_until_another_is_chosen(home: Home) -> None:
    home.pin("a", "2.0")
    home.pin("a", "1.0")
    stack = home.lock().stack("main")
    assert stack.choose({}, file=home.lock_file)["a"].version == "2.0"
    assert stack.choose({"a": "1.0.0"}, file=home.lock_file)["a"].version == "1.0"
    with pytest.raises(UsageError, match=r"no pin of a 3.0") as caught:
        stack.choose({"a": "3.0"}, file=home.lock_file)
    assert "2.0, 1.0" in caught.value.cause


@pytest.mark.parametrize("text", ["", "unresolved"])
def test_a_pin_without_a_hash_is_refused_when_it_is_used(text: str) -> None:
    given_hash: dict[str, Any] = {"sha256": text} if text else {}
    given_commit: dict[str, Any] = {"commit": text} if text else {}
    common: dict[str, Any] = {"component": "a", "version": "1", "epoch": 1_600_000_000}
    for pin, field in (
        (ArchivePin(url="https://x/y", **given_hash, **common), "sha256"),
        (GitPin(url="https://x/y", **given_commit, **common), "commit"),
    ):
        with pytest.raises(UnpinnedError, match=f"has no {field}") as caught:
            require_pinned(pin, where="toolchain.lock: a")
        assert caught.value.where == "toolchain.lock: a"


def test_versions_are_compared_by_pep_440_and_other_text_by_itself() -> None:
    assert same_version("1.0", "1.0.0")
    assert not same_version("1.0", "1.0.1")
    assert same_version("x y", "x y")
    assert not same_version("x y", "1.0")


plain = st.booleans() | st.integers(-5, 2**40) | st.floats() | st.text(max_size=5)
values = plain | st.sampled_from(
    ["git", "archive", "index", "local", COMMIT, HASH, "unresolved", "https://x/y", "a", "1.0"]
)
names = st.sampled_from(
    [
        *("component", "version", "epoch", "note", "source", "url", "commit", "ref"),
        *("submodules", "sha256", "name", "path"),
    ]
)
pins = st.dictionaries(names, values, max_size=9)
stacks = st.dictionaries(
    st.sampled_from(["summary", "pin", "pins"]), st.lists(pins | values, max_size=3) | values
)


@given(
    st.dictionaries(
        st.sampled_from(["version", "default", "stack", "stak"]),
        st.dictionaries(st.sampled_from(["main", "b"]), stacks | values) | values | st.just(1),
    )
)
def test_any_toml_is_a_lock_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, raw: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("lock") / "toolchain.lock"
    path.write_text(toml_file(raw))
    error = refusal(lambda: load_lock(path), DataError)
    assert error is None or (str(path) in error.where and error.what.endswith("."))


def test_the_projects_own_lock_is_valid() -> None:
    path = Path(__file__).parents[2] / "toolchain.lock"
    lock = load_lock(path)
    for stack in lock.stacks.values():
        assert stack.choose({}, file=path)
