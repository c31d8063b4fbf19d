"""One .deb file: read in every compression, refused in one sentence where it is not right."""

import os
import resource
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strixforge.model.errors import ArchiveError
from strixforge.sources.apt.deb import unpack_deb
from strixforge.sources.apt.unpacking import RootGuard
from tests.unit.debian_archive import (
    COMPRESSIONS,
    ar,
    compress,
    deb,
    file,
    folder,
    hard_link,
    link,
    special,
    tar,
)
from tests.unit.home import refusal

CONTENT = b"content" * 300
DATA = tar(
    folder("usr"),
    folder("usr/bin"),
    file("usr/bin/tool", CONTENT, 0o755),
    link("usr/bin/alias", "tool"),
    hard_link("usr/bin/twin", "./usr/bin/tool"),
)
CONTROL = ("control.tar.xz", b"not looked at")
BINARY = ("debian-binary", b"2.0\n")


class Place:
    """A folder to unpack in, with something beside it that must stay as it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.target = root / "target"
        self.target.mkdir(parents=True)
        (root / "outside").write_text("untouched")

    def unpack(self, content: bytes, bound: int = 1 << 24) -> Path:
        """Unpack a .deb into the target."""
        (self.root / "tool.deb").write_bytes(content)
        unpack_deb(self.root / "tool.deb", self.target, RootGuard("tool 1", bound, 1000))
        return self.target

    def refuse(self, content: bytes, bound: int = 1 << 24) -> str:
        """Unpack, which must fail; returns what is said."""
        with pytest.raises(ArchiveError) as caught:
            self.unpack(content, bound)
        assert (self.root / "outside").read_text() == "untouched"
        assert {path.name for path in self.root.iterdir()} == {"tool.deb", "target", "outside"}
        assert caught.value.what.endswith(".")
        assert caught.value.where
        return caught.value.what


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.mark.parametrize("form", COMPRESSIONS)
def test_every_compression_is_read(place: Place, form: str) -> None:
    target = place.unpack(deb(DATA, form))
    for name in ("tool", "alias", "twin"):
        assert (target / "usr/bin" / name).read_bytes() == CONTENT
        assert os.access(target / "usr/bin" / name, os.X_OK)
    assert (target / "usr/bin/alias").readlink() == Path("tool")
    assert (target / "usr/bin/twin").samefile(target / "usr/bin/tool")


def test_members_of_odd_sizes_slashed_names_and_unknown_ones_are_no_matter(place: Place) -> None:
    content = ar(
        ("debian-binary/", b"2.0\n"),
        ("_gpgorigin", b"odd"),
        CONTROL,
        ("data.tar", DATA),
        ("later", b"x"),
    )
    assert (place.unpack(content) / "usr/bin/tool").read_bytes() == CONTENT


WHOLE = deb(DATA, ".gz")
START = 8 + 60 + 4  # of the second header


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not an ar archive"),
        (b"<html>404</html>", "not an ar archive"),
        (b"!<arch>\n", "no data.tar"),
        (ar(("debian-binary", b"2.0\n")), "no data.tar"),
        (ar(BINARY, CONTROL), "no data.tar"),
        (ar(CONTROL, BINARY, ("data.tar", DATA)), "does not begin with debian-binary"),
        (ar(("data.tar", DATA)), "does not begin with debian-binary"),
        (WHOLE[:-100], "cut off"),
        (WHOLE[: START + 30], "header is damaged"),
        (WHOLE[: START + 58] + b"??" + WHOLE[START + 60 :], "header is damaged"),
        (ar(BINARY, ("data.tar.xz", b"")), "cannot be unpacked"),
        (ar(BINARY, ("data.tar.xz", b"noise" * 999)), "cannot be unpacked"),
        (ar(BINARY, ("data.tar.xz", compress(DATA, ".xz")[:-200])), "cannot be unpacked"),
        (ar(BINARY, ("data.tar.gz", compress(DATA, ".gz")[:-60])), "cannot be unpacked"),
        (ar(BINARY, ("data.tar.zst", compress(DATA, ".zst")[:-60])), "cannot be unpacked"),
        (ar(BINARY, ("data.tar", DATA[:2000])), "cannot be unpacked"),
    ],
)
def test_a_file_that_is_damaged_or_none_says_what_is_wrong(
    place: Place, content: bytes, why: str
) -> None:
    assert why in place.refuse(content)


@pytest.mark.parametrize("size", [b"-1", b"-60", b"0x10", b"1e9", b"", b"1 2", b"9999999999"])
@pytest.mark.parametrize("member", ["first", "data"])
def test_a_size_that_cannot_be_is_refused(place: Place, size: bytes, member: str) -> None:
    start = 8 if member == "first" else WHOLE.index(b"data.tar")
    header = WHOLE[start : start + 48] + size.ljust(10) + b"`\n"
    place.refuse(WHOLE[:start] + header + WHOLE[start + 60 :])


@pytest.mark.parametrize(
    "member",
    [
        file("../outside", b"x"),
        file("usr/../../outside", b"x"),
        link("usr/way", "../../outside"),
        link("way", "/../outside"),
        link("way", "a/../../outside"),
        hard_link("twin", "../outside"),
        hard_link("twin", "/etc/passwd"),
        hard_link("twin", "not-before"),
        special("dev/null", tarfile.CHRTYPE),
        special("dev/sda", tarfile.BLKTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
)
def test_a_hostile_member_is_refused(
    place: Place, member: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]
) -> None:
    assert "would write outside its folder" in place.refuse(deb(tar(member)))


def test_an_absolute_path_is_refused(place: Place) -> None:
    info = tarfile.TarInfo(str(place.root / "outside"))
    assert "a path that leaves the folder" in place.refuse(deb(tar((info, b""))))


@pytest.mark.parametrize("target", ["..", "/", "."])
def test_a_path_through_a_link_of_the_same_package_is_refused(place: Place, target: str) -> None:
    whole = tar(folder("a"), link("a/way", target), file("a/way/outside", b"x"))
    assert "through a symlink" in place.refuse(deb(whole))


def test_a_package_larger_than_the_bound_is_refused(place: Place) -> None:
    big = tar(file("big", bytes(1 << 20)))
    for form in COMPRESSIONS:
        assert "larger than the bound" in place.refuse(deb(big, form), 1 << 19)


def test_set_uid_and_other_bits_are_dropped(place: Place) -> None:
    modes = {"a": 0o6755, "b": 0o1644, "c": 0o600, "d": 0o4700, "e": 0o444}
    target = place.unpack(deb(tar(*(file(name, b"x", mode) for name, mode in modes.items()))))
    found = {name: (target / name).stat().st_mode & 0o7777 for name in modes}
    assert found == {"a": 0o755, "b": 0o644, "c": 0o644, "d": 0o755, "e": 0o644}


SMALL = {
    form: deb(tar(folder("usr"), file("usr/a", b"a" * 90), link("usr/b", "/usr/a")), form)
    for form in COMPRESSIONS
}


def unpacked(content: bytes, where: Path) -> None:
    """Unpack in memory's own folder; only ArchiveError may come out, and nothing outside."""
    place = Place(where)
    error = refusal(lambda: place.unpack(content, 1 << 20), ArchiveError)
    assert error is None or error.what.endswith(".")
    assert {path.name for path in where.iterdir()} == {"tool.deb", "target", "outside"}


changes = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6)


def mutated(content: bytes, edits: list[tuple[int, int]], end: int | None) -> bytes:
    changed = bytearray(content)
    for place, value in edits:
        changed[place % len(changed)] = value
    return bytes(changed[:end])


@given(st.sampled_from(COMPRESSIONS), changes, st.none() | st.integers(0, 12000))
def test_changed_bytes_give_files_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, form: str, edits: list[tuple[int, int]], end: int
) -> None:
    unpacked(mutated(SMALL[form], edits, end), tmp_path_factory.mktemp("deb") / "place")


@pytest.mark.slow
@settings(max_examples=3000)
@given(st.sampled_from(COMPRESSIONS), changes, st.none() | st.integers(0, 12000))
def test_changed_bytes_give_files_or_an_error_of_ours_many_times(
    tmp_path_factory: pytest.TempPathFactory, form: str, edits: list[tuple[int, int]], end: int
) -> None:
    unpacked(mutated(SMALL[form], edits, end), tmp_path_factory.mktemp("deb") / "place")


@given(edits=changes)
def test_changed_bytes_inside_a_good_compression_are_no_other_matter(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int]]
) -> None:
    data = mutated(
        tar(folder("usr"), file("usr/a", b"a" * 90), link("b", "/usr/a"))[:2600], edits, None
    )
    for form in COMPRESSIONS:
        unpacked(deb(data, form), tmp_path_factory.mktemp("deb") / "place")


def test_a_member_that_says_it_is_huge_takes_no_memory(place: Place) -> None:
    header = b"data.tar".ljust(48) + b"9999999999`\n"
    content = ar(BINARY) + header + b"little"
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, before[1]))
    try:
        assert "cut off" in place.refuse(content)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
