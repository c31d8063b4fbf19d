"""Addresses of mirrors, as apt's own configuration and the user name them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import UsageError
from strixforge.model.repository import Repository
from strixforge.sources.apt.mirrors import addresses

KEY = "0123456789ABCDEF0123456789ABCDEF01234567"
DEBIAN = Repository(suite="trixie", components=("main",), keys=(KEY,), archive="debian")
ROCM = Repository(suite="noble", components=("main",), keys=(KEY,), url="https://x.example/rocm/")


def found(apt: Path, *mirrors: str, **files: str) -> list[str]:
    (apt / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        stem, _, kind = name.rpartition("_")
        where = apt if stem == "sources" else apt / "sources.list.d"
        (where / f"{stem}.{kind}").write_text(text)
    return addresses("debian-trixie", DEBIAN, mirrors, apt)


def test_a_repository_with_an_address_has_that_alone(tmp_path: Path) -> None:
    assert addresses("rocm", ROCM, ("https://m.example/",), tmp_path) == ["https://x.example/rocm"]


def test_lines_name_an_address_after_options_and_before_suite_and_components(
    tmp_path: Path,
) -> None:
    text = """\
# deb http://commented.example/debian trixie main
deb http://plain.example/debian/ trixie main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] https://options.example/debian trixie main
   deb   [ arch=amd64 ]\thttp://spaces.example/debian   trixie   contrib main  # why
deb-src http://source.example/debian trixie main
deb http://other.example/debian trixie contrib
deb http://flat.example/debian ./
deb cdrom:[Debian GNU/Linux 13 _Trixie_]/ trixie main
deb mirror+file:/etc/apt/mirrors.txt trixie main
deb file:/srv/debian trixie main
nonsense
deb
deb [half http://half.example/debian trixie main
"""
    assert found(tmp_path, sources_list=text) == [
        "http://plain.example/debian",
        "https://options.example/debian",
        "http://spaces.example/debian",
        "file:/srv/debian",
    ]


def test_stanzas_name_several_addresses_unless_they_are_switched_off(tmp_path: Path) -> None:
    text = """\
# The first.
Types: deb deb-src
# http://snapshot.example/
URIs: http://a.example/debian/ http://b.example/debian
Suites: trixie trixie-updates
Components: main contrib

Types: deb
URIs:
 http://c.example/debian
 http://d.example/debian
Suites: trixie
Components: main
Enabled: yes

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: trixie
Components: main

Types: deb
URIs: http://other.example/debian
Suites: trixie
Components: contrib
"""
    assert found(tmp_path, debian_sources=text) == [
        *(f"http://{one}.example/debian" for one in "abcd"),
    ]


@pytest.mark.parametrize("word", ["no", "No", "false", "0"])
def test_every_word_for_no_switches_a_stanza_off(tmp_path: Path, word: str) -> None:
    text = f"Types: deb\nURIs: http://a.example/\nSuites: x\nComponents: main\nEnabled: {word}\n"
    with pytest.raises(UsageError):
        found(tmp_path, debian_sources=text)


def test_the_users_own_mirrors_take_the_place_of_those_of_apt(tmp_path: Path) -> None:
    text = "deb http://a.example/debian trixie main\ndeb http://b.example/debian x main\n"
    more = "Types: deb\nURIs: http://a.example/debian\nSuites: x\nComponents: main\n"
    own = ("http://own.example/debian", "http://b.example/debian")
    assert found(tmp_path, *own, sources_list=text, more_sources=more, ignored_bak=text) == [
        "http://own.example/debian",
        "http://b.example/debian",
    ]
    other = tmp_path / "without"
    assert found(other, sources_list=text, more_sources=more, ignored_bak=text) == [
        "http://a.example/debian",
        "http://b.example/debian",
    ]


def test_with_no_mirror_at_all_the_cure_is_named(tmp_path: Path) -> None:
    for apt in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(UsageError, match="no mirror of debian is known") as caught:
            addresses("debian-trixie", DEBIAN, (), apt)
        assert "mirror=https://" in caught.value.fix
        assert "repository.debian-trixie" in caught.value.where
    with pytest.raises(UsageError):
        found(tmp_path / "apt", sources_list="# nothing\n", cdrom_list="deb cdrom:[x]/ a main\n")


def test_files_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "a.list").write_bytes(b"\xff\xfe")
    (tmp_path / "sources.list.d" / "b.list").mkdir()
    (tmp_path / "sources.list.d" / "c.list").symlink_to("nowhere")
    (tmp_path / "sources.list.d" / "d.list").write_text("deb http://d.example trixie main")
    assert addresses("x", DEBIAN, (), tmp_path) == ["http://d.example"]


words = st.sampled_from(
    [
        *("deb", "deb-src", "[", "]", "http://a/", "main", "trixie", " ", "\n", "\n\n", "#", ":"),
        *("Types:", "URIs:", "Components:", "Enabled:", "no", "\t", "\u2028", "\x0c", "=", "é"),
    ]
)
texts = st.lists(words, max_size=20).map("".join) | st.text(max_size=60)


@given(texts)
def test_any_text_is_addresses_or_none(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    apt = tmp_path_factory.mktemp("apt")
    (apt / "sources.list.d").mkdir()
    for name in ("sources.list", "sources.list.d/x.sources"):
        (apt / name).write_text(text, encoding="utf-8", errors="replace")
    for one in addresses("x", DEBIAN, ("http://own.example",), apt):
        assert one.startswith(("http://", "https://", "file:/"))
