"""locks/apt/<component>-<version>.toml: written, read back, and refused when it is another."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import DataError, IntegrityError, UnpinnedError
from strixforge.model.packages import (
    Package,
    PackageList,
    Release,
    list_file,
    load_packages,
    render,
)
from strixforge.model.pins import AptPin
from tests.unit.home import HASH, Home, refusal, toml_file

TOOL = Package(
    name="libtool-2.0+",
    version="1:2.0~rc1-1+b1",
    architecture="amd64",
    repository="debian-trixie",
    path="pool/main/libt/libtool/libtool_2.0~rc1-1+b1_amd64.deb",
    size=1000,
    sha256=HASH,
)
RELEASE = Release(
    repository="debian-trixie",
    date="Sat, 15 Nov 2025 09:30:00 UTC",
    inrelease=HASH,
    signed_by="A" * 40,
    packages={"main": HASH, "non-free/firmware": HASH, "a.b": HASH},
)


def listed(*packages: Package, wanted: tuple[str, ...] = ("libtool",), **more: Any) -> PackageList:
    values: dict[str, Any] = {"resolver": "apt 3.0", "release": (RELEASE,)} | more
    return PackageList(version=1, wanted=wanted, package=packages or (TOOL,), **values)


def pin(packages: PackageList, **more: Any) -> AptPin:
    values: dict[str, Any] = {"component": "tool", "version": "1.0", "epoch": 1_600_000_000}
    names = tuple(dict.fromkeys(one.repository for one in packages.package))
    values |= {"repositories": names, "packages": packages.wanted}
    return AptPin(**(values | {"sha256": packages.digest()} | more))


def write(home: Path, packages: PackageList, **more: Any) -> AptPin:
    """Write a list as `doit lock` does; returns its pin."""
    made = pin(packages, **more)
    list_file(home, made).parent.mkdir(parents=True, exist_ok=True)
    list_file(home, made).write_text(render(packages), encoding="utf-8")
    return made


def test_a_list_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    other = msgspec.structs.replace(TOOL, name="other", size=24, sha256=HASH[::-1])
    packages = listed(TOOL, other, left=("libc6", "a | b"))
    made = write(tmp_path, packages)
    assert load_packages(tmp_path, made) == packages
    assert list_file(tmp_path, made) == tmp_path / "locks/apt/tool-1.0.toml"
    assert packages.find("other") == other
    assert packages.find("nothing") is None
    assert packages.bytes() == 1024
    assert str(TOOL) == "libtool-2.0+ 1:2.0~rc1-1+b1"


def test_each_package_has_a_line_of_its_own() -> None:
    others = [msgspec.structs.replace(TOOL, name=f"p{number}") for number in range(3)]
    before, after = (render(listed(TOOL, *some)).splitlines() for some in (others, others[:2]))
    assert len(before) == len(after) + 1
    assert set(after) < set(before)
    assert before[0].startswith("# Written by ./doit lock")


words = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9+.:~_-]{0,9}\Z")
paths = st.lists(words, min_size=1, max_size=3).map("/".join)
texts = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF, exclude_characters="\x7f"))
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
packages = st.builds(
    Package,
    name=words,
    version=words,
    architecture=words,
    repository=texts,
    path=paths,
    size=st.integers(1, 2**62),
    sha256=hashes,
)
releases = st.builds(
    Release,
    repository=texts,
    date=texts,
    inrelease=hashes,
    signed_by=texts,
    packages=st.dictionaries(paths, hashes, max_size=3),
)
lists = st.builds(
    PackageList,
    version=st.just(1),
    resolver=texts,
    wanted=st.lists(words, max_size=3).map(tuple),
    release=st.lists(releases, min_size=1, max_size=2).map(tuple),
    package=st.lists(packages, max_size=3).map(tuple),
    left=st.lists(texts, max_size=3).map(tuple),
)


@given(lists)
def test_any_list_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, some: PackageList
) -> None:
    home = tmp_path_factory.mktemp("home")
    assert load_packages(home, write(home, some)) == some


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"libtool-2.0+"', '"libtool-2.1+"'),
        ("1:2.0~rc1-1+b1", "1:2.0~rc1-1+b2"),
        ('"amd64"', '"arm64"'),
        (f'sha256 = "{HASH}"', f'sha256 = "{HASH[::-1]}"'),
    ],
)
def test_a_changed_line_is_refused_with_the_cure(tmp_path: Path, old: str, new: str) -> None:
    made = write(tmp_path, listed())
    path = list_file(tmp_path, made)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(IntegrityError, match=r"of tool 1\.0 is not the one that was") as caught:
        load_packages(tmp_path, made)
    assert made.sha256 in caught.value.cause
    assert caught.value.where == str(path)
    assert caught.value.fix.startswith("./doit lock ")


def test_a_package_added_or_taken_away_is_refused(tmp_path: Path) -> None:
    made = write(tmp_path, listed())
    other = msgspec.structs.replace(TOOL, name="other")
    for some in (listed(TOOL, other), listed(other)):
        list_file(tmp_path, made).write_text(render(some))
        with pytest.raises(IntegrityError):
            load_packages(tmp_path, made)


def test_where_and_when_it_was_read_does_not_count(tmp_path: Path) -> None:
    made = write(tmp_path, listed())
    moved = msgspec.structs.replace(TOOL, path="elsewhere/x.deb", size=1)
    later = msgspec.structs.replace(RELEASE, date="later")
    some = listed(moved, resolver="strixforge", release=(later,), left=("libc6",))
    list_file(tmp_path, made).write_text(render(some))
    assert load_packages(tmp_path, made) == some


def test_a_package_of_a_repository_that_the_pin_does_not_name_is_to_be_locked_anew(
    tmp_path: Path,
) -> None:
    made = write(tmp_path, listed())
    moved = msgspec.structs.replace(TOOL, repository="mirror")
    list_file(tmp_path, made).write_text(render(listed(moved)))
    with pytest.raises(UnpinnedError, match=r"'mirror', which tool 1\.0 does not name"):
        load_packages(tmp_path, made)


def test_a_list_without_the_index_that_it_was_read_from_is_none(tmp_path: Path) -> None:
    made = write(tmp_path, listed(release=()))
    with pytest.raises(DataError, match="release"):
        load_packages(tmp_path, made)


def test_a_list_that_is_missing_or_not_pinned_is_not_locked(tmp_path: Path) -> None:
    made = write(tmp_path, listed())
    unresolved = pin(listed(), sha256="unresolved")
    for home, one in ((tmp_path / "other", made), (tmp_path, unresolved)):
        with pytest.raises(UnpinnedError, match=r"packages of tool 1\.0 are not locked") as caught:
            load_packages(home, one)
        assert caught.value.fix == "./doit lock"


def test_other_packages_than_were_locked_are_asked_to_be_locked(tmp_path: Path) -> None:
    write(tmp_path, listed())
    with pytest.raises(UnpinnedError, match="asks for other packages than were locked") as caught:
        load_packages(tmp_path, pin(listed(wanted=("libtool", "more"))))
    assert caught.value.fix == "./doit lock"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("path", text) for text in ("../x", "a/../../x", "./x", "a/.", "", "a b", "a\\nb", "é")),
        *(("path", text) for text in ("a?b", "a#b", "a@b", 'a"b', "x/..")),
        *(("name", text) for text in ("", "../x", "-x", "a/b", "a b")),
        *(("version", text) for text in ("", "-1", "a b", "1\\u001b[31m")),
        *(("architecture", text) for text in ("", "a/b")),
        *(("sha256", text) for text in ("", "A" * 64, "0" * 63, "unresolved")),
        *(("size", number) for number in (0, -1, 1.5, "5")),
    ],
)
def test_a_hostile_or_senseless_value_is_refused(
    tmp_path: Path, field: str, value: str | float
) -> None:
    made = write(tmp_path, listed())
    path = list_file(tmp_path, made)
    entry = msgspec.to_builtins(TOOL) | {field: value}
    top = {"version": 1, "resolver": "x", "wanted": ["libtool"], "package": [entry]}
    top["release"] = [msgspec.to_builtins(RELEASE)]
    path.write_text(toml_file(top))
    with pytest.raises(DataError) as caught:
        load_packages(tmp_path, made)
    assert caught.value.where.startswith(str(path))
    assert field in caught.value.where


def test_an_absolute_path_stays_below_the_address() -> None:
    # It is put behind the repository's address and a slash, so it leads nowhere else.
    absolute = msgspec.to_builtins(TOOL) | {"path": "/etc/passwd"}
    assert f"https://x/{msgspec.convert(absolute, Package).path}" == "https://x//etc/passwd"


@pytest.mark.parametrize(
    "text",
    ["", "version = 2", "nonsense", "version = 1\npackage = 5", "[[release]]\nx = 1", "\ufeff"],
)
def test_a_file_that_is_no_list_is_a_data_error(home: Home, text: str) -> None:
    made = write(home.root, listed())
    list_file(home.root, made).write_text(text)
    with pytest.raises(DataError):
        load_packages(home.root, made)


values = st.none() | st.integers(-3, 3) | st.text(max_size=4) | st.sampled_from([HASH, "amd64"])
keys = st.sampled_from([*Package.__struct_fields__, "more"])
tables = st.dictionaries(keys, values.filter(lambda one: one is not None), max_size=8)
tops = st.dictionaries(
    st.sampled_from([*PackageList.__struct_fields__, "more"]),
    values.filter(lambda one: one is not None) | st.lists(tables, max_size=2) | st.just(1),
)


@given(tops)
def test_any_toml_is_a_list_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, raw: dict[str, Any]
) -> None:
    home = tmp_path_factory.mktemp("home")
    made = write(home, listed())
    list_file(home, made).write_text(toml_file(raw), encoding="utf-8", errors="replace")
    kinds = (DataError, IntegrityError, UnpinnedError)
    error = refusal(lambda: load_packages(home, made), *kinds)
    assert error is not None
    assert str(list_file(home, made)) in error.where
