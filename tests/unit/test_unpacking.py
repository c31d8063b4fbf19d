"""Archives, harmless and hostile: nothing lands outside the folder, nothing is special."""

import bz2
import gzip
import io
import lzma
import os
import resource
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from strixforge.model.errors import ArchiveError
from strixforge.sources.unpacking import check_links, unpack_archive
from tests.unit.home import refusal

Member = tuple[str, bytes, str]
"""Path, tar type, and the content or the link's target."""
FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


def tar_of(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    """Return a tar of regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_with(*members: Member) -> bytes:
    """Return a tar of any members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == FILE:
                info.size = len(text)
            else:
                info.linkname = text
            tar.addfile(info, io.BytesIO(text.encode()) if kind == FILE else None)
    return buffer.getvalue()


def zip_with(*members: tuple[str, int, bytes]) -> bytes:
    """Return a zip; each member with its Unix mode."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, mode, content in members:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = mode << 16
            zipped.writestr(info, content)
    return buffer.getvalue()


class Place:
    """A folder to unpack in, with something beside it that must stay as it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.target = root / "inner" / "target"
        self.target.mkdir(parents=True)
        self.outside = root / "outside"
        self.outside.write_text("untouched")

    def unpack(self, content: bytes, only: tuple[str, ...] = (), **bounds: int) -> Path:
        """Unpack into the target."""
        archive = self.root / "archive"
        archive.write_bytes(content)
        if not self.target.exists():
            self.target.mkdir()
        unpack_archive(archive, self.target, only=only, **bounds)
        return self.target

    def refuse(self, content: bytes, **bounds: int) -> ArchiveError:
        """Unpack, which must fail, and leave nothing outside nor in the target."""
        with pytest.raises(ArchiveError) as caught:
            self.unpack(content, (), **bounds)
        self.check_untouched()
        assert list(self.target.iterdir()) == []
        return caught.value

    def check_untouched(self) -> None:
        """Nothing may have appeared beside the target, nor changed."""
        assert self.outside.read_text() == "untouched"
        assert self.outside.stat().st_nlink == 1
        assert {path.name for path in self.root.iterdir()} == {"inner", "outside", "archive"}
        beside = {path.name for path in (self.root / "inner").iterdir()}
        assert beside <= {"target", "target.unpacking"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


FILES = {"tool-1.0/bin/run": b"#!/bin/sh\n", "tool-1.0/readme": b"read me" * 1000}


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress]
)
def test_every_kind_of_tar_is_unpacked_by_its_content(
    place: Place, pack: Callable[[bytes], bytes]
) -> None:
    target = place.unpack(pack(tar_of(FILES)))
    assert (target / "bin/run").read_bytes() == FILES["tool-1.0/bin/run"]
    assert (target / "readme").read_bytes() == FILES["tool-1.0/readme"]


def test_a_zstd_tar_of_several_frames_is_read_to_its_end(place: Place) -> None:
    whole = tar_of(FILES)
    frames = zstandard.compress(whole[:700]) + zstandard.compress(whole[700:])
    assert (place.unpack(frames) / "readme").read_bytes() == FILES["tool-1.0/readme"]


def test_a_zip_is_unpacked_with_its_modes_and_links(place: Place) -> None:
    content = zip_with(
        ("t/run", 0o100755, b"x"),
        ("t/readme", 0o100644, b"y"),
        ("t/windows", 0, b"z"),
        ("t/folder/", 0o040755, b""),
        ("t/link", 0o120777, b"readme"),
    )
    target = place.unpack(content)
    assert os.access(target / "run", os.X_OK)
    assert not os.access(target / "windows", os.X_OK)
    assert (target / "link").read_bytes() == b"y"
    assert (target / "folder").is_dir()


def test_a_tar_that_ends_in_a_zip_is_a_tar(place: Place) -> None:
    inner = zip_with(("hidden", 0o100644, b"x"))
    target = place.unpack(tar_of({"a": b"a", "last.zip": inner}))
    assert sorted(path.name for path in target.iterdir()) == ["a", "last.zip"]


def test_a_single_top_folder_is_left_out_and_nothing_else_is(place: Place) -> None:
    assert (place.unpack(tar_of({"top/a": b"1"})) / "a").is_file()
    place.target.rename(place.root / "inner" / "one")
    assert (place.unpack(tar_of({"top/a": b"1", "b": b"2"})) / "top/a").is_file()
    place.target.rename(place.root / "inner" / "two")
    assert (place.unpack(tar_of({"only": b"1"})) / "only").is_file()


def test_modes_are_0644_or_0755_whatever_the_archive_says(place: Place) -> None:
    target = place.unpack(tar_of({"a": b"1", "b/c": b"2"}, mode=0o4777))
    assert {stat.S_IMODE((target / name).stat().st_mode) for name in ("a", "b/c")} == {0o755}


def test_harmless_links_are_kept(place: Place) -> None:
    target = place.unpack(
        tar_with(
            ("t/lib/libx.so.1", FILE, "library"),
            ("t/lib/libx.so", LINK, "libx.so.1"),
            ("t/lib64", LINK, "lib"),
            ("t/bin/up", LINK, "../lib/libx.so"),
            ("t/copy", HARD, "t/lib/libx.so.1"),
            ("t/dangling", LINK, "nothing"),
            ("t/round", LINK, "round"),
        )
    )
    assert (target / "lib64/libx.so").read_text() == "library"
    assert (target / "bin/up").read_text() == "library"
    assert (target / "copy").read_text() == "library"


def test_what_a_killed_run_left_is_replaced(place: Place) -> None:
    left = place.root / "inner" / "target.unpacking"
    left.mkdir()
    (left / "old").write_text("old")
    assert not (place.unpack(tar_of({"top/a": b"1"})) / "old").exists()


ESCAPES: dict[str, tuple[Member, ...]] = {
    "absolute path": (("/etc/x", FILE, "x"),),
    "dots": (("../outside", FILE, "x"),),
    "dots inside": (("a/../../outside", FILE, "x"),),
    "absolute link": (("link", LINK, "/etc/passwd"),),
    "link out": (("link", LINK, "../outside"),),
    "link far out": (("a/b", LINK, "../../../outside"),),
    "link out and in again": (("a", LINK, "../target/a"),),
    "through a link": (("d", LINK, "."), ("d/x", FILE, "x")),
    "through a link spelt otherwise": (("d", LINK, "."), ("./d//x", FILE, "x")),
    "link, then a file of that name": (("f", LINK, "g"), ("f", FILE, "x")),
    "chain that looks inside": (
        ("a/b/x", FILE, ""),
        ("a/b/up", LINK, "../.."),
        ("evil", LINK, "a/b/up/../outside"),
    ),
    "chain through folders": (
        ("a/b/c/x", FILE, ""),
        ("s", LINK, "a/b/c"),
        ("t", LINK, "s/../../.."),
        ("u", LINK, "t/../outside"),
    ),
    "out of the top folder that is left out": (("top/x", FILE, ""), ("top/up", LINK, "..")),
    "beside the top folder": (("top/x", FILE, ""), ("top/up", LINK, "../beside")),
    "out of the top folder and in again by its name": (
        ("top/x", FILE, ""),
        ("top/again", LINK, "../top/x"),
    ),
    "hard link out": (("h", HARD, "../outside"),),
    "absolute hard link": (("h", HARD, "/etc/passwd"),),
    "hard link to nothing": (("h", HARD, "missing"),),
    "hard link to a link": (("l", LINK, "x"), ("h", HARD, "l")),
    "hard link to a file that became a link": (
        ("f", FILE, "x"),
        ("f", LINK, "g"),
        ("h", HARD, "f"),
    ),
    "pipe": (("p", tarfile.FIFOTYPE, ""),),
    "device": (("d", tarfile.CHRTYPE, ""),),
    "block device": (("d", tarfile.BLKTYPE, ""),),
    "long link": (("l", LINK, "a/" * 600 + "b"),),
    "long name": (("a" * 300, FILE, "x"),),
    "long path": (("/".join(["b" * 250] * 20), FILE, "x"),),
    "deep path": (("c/" * 500 + "x", FILE, "x"),),
    "file as folder": (("f", FILE, "x"), ("f/g", FILE, "x")),
    "folder as file": (("f/g", FILE, "x"), ("f", FILE, "x")),
    "folder as link": (("f/g", FILE, "x"), ("f", LINK, "y")),
    "empty": (),
    "NUL in a link": (("l", LINK, "a\0b" * 50),),
    "name of the folder itself": ((".", FILE, "x"),),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_a_hostile_tar_is_refused_and_writes_nothing_outside(place: Place, name: str) -> None:
    error = place.refuse(tar_with(*ESCAPES[name]))
    assert "archive" in error.what
    assert error.fix


@pytest.mark.parametrize(
    "members",
    [
        (("/etc/x", 0o100644, b"x"),),
        (("../outside", 0o100644, b"x"),),
        (("l", 0o120777, b"/etc/passwd"),),
        (("l", 0o120777, b"../outside"),),
        (("d", 0o120777, b"."), ("d/x", 0o100644, b"x")),
        (("a/b/up", 0o120777, b"../.."), ("e", 0o120777, b"a/b/up/../outside")),
        (("t/x", 0o100644, b""), ("t/up", 0o120777, b"..")),
        (("l", 0o120777, b""),),
        (("l", 0o120777, b"x" * 2000),),
        (("p", 0o010644, b""),),
        (("f", 0o100644, b"x"), ("f/g", 0o100644, b"x")),
        (("a" * 300, 0o100644, b"x"),),
        (),
    ],
)
def test_a_hostile_zip_is_refused_and_writes_nothing_outside(
    place: Place, members: tuple[tuple[str, int, bytes], ...]
) -> None:
    assert place.refuse(zip_with(*members)).fix


def test_links_whose_resolution_is_longer_than_any_path_do_not_fool_the_check(
    place: Place,
) -> None:
    # CVE-2025-4517: each step adds a long name, until resolving gives up and trusts the text.
    long = "d" * 247
    members: list[Member] = []
    folder = ""
    for step in "abcdefghijklmnop":
        members += [(f"{folder}{long}", FOLDER, ""), (f"{folder}{step}", LINK, long)]
        folder = f"{folder}{step}/"
    members.append(("link", LINK, "/".join("abcdefghijklmnop") + "/" + "../" * 15))
    place.refuse(tar_with(*members))


def test_the_size_and_number_of_members_are_bounded(place: Place) -> None:
    bomb = gzip.compress(tar_of({"zeros": b"\0" * 10_000_000}))
    assert len(bomb) < 20_000
    assert "larger than the bound" in place.refuse(bomb, max_bytes=9_999_999).what
    zipped = zip_with(("zeros", 0o100644, b"\0" * 10_000_000))
    assert "larger than the bound" in place.refuse(zipped, max_bytes=9_999_999).what
    many = tar_of({str(number): b"" for number in range(11)})
    assert "larger than the bound" in place.refuse(many, max_members=10).what


def test_a_zip_that_lies_about_its_size_writes_no_more_than_it_said(place: Place) -> None:
    content = zip_with(("zeros", 0o100644, b"\0" * 1_000_000))
    lie = content.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != content
    place.refuse(lie, max_bytes=1000)
    written = sum(path.stat().st_size for path in place.root.rglob("*") if path.is_file())
    assert written < len(lie) + 1000


def header(size: bytes, kind: bytes = b"0", name: bytes = b"x") -> bytes:
    """Return one tar header with that size field, its checksum right."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("kind", [b"0", b"L", b"x", b"S", b"?"])
def test_a_negative_size_does_not_send_the_reader_round_in_circles(
    place: Place, kind: bytes
) -> None:
    negative = b"\xff" * 10 + b"\xfe\x00"  # -512
    place.refuse(header(b"00000000000\0", name=b"first") + header(negative, kind) + b"\0" * 2048)


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_a_header_that_would_fill_the_memory_is_refused(place: Place, kind: bytes) -> None:
    huge = header(b"77777777777\0", kind)
    assert "larger than any real one" in place.refuse(huge + b"\0" * 2048).what


def test_a_thousand_headers_of_headers_are_refused(place: Place) -> None:
    name = header(b"00000000002\0", b"L") + b"a\0".ljust(512, b"\0")
    place.refuse(name * 2000 + header(b"00000000000\0"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive at all",
        b"\x1f\x8b" + b"\0" * 20,
        b"BZh9" + b"junk" * 10,
        b"\xfd7zXZ\0" + b"junk" * 10,
        b"\x28\xb5\x2f\xfd" + b"junk" * 10,
        b"PK\3\4" + b"junk" * 10,
        b"PK\5\6" + b"\0" * 18,
        *(pack(tar_of(FILES))[:100] for pack in (gzip.compress, bz2.compress, lzma.compress)),
        zstandard.compress(tar_of(FILES))[:100],
        tar_of(FILES)[:2000],
    ],
)
def test_a_damaged_archive_is_refused_by_name(place: Place, content: bytes) -> None:
    error = place.refuse(content)
    assert error.where.endswith("archive")
    assert "cannot be unpacked" in error.what


def test_an_encrypted_zip_is_refused(place: Place) -> None:
    content = bytearray(zip_with(("a", 0o100644, b"x")))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + offset] |= 1
    assert "encrypted" in place.refuse(bytes(content)).what


def test_a_disk_that_takes_no_more_is_the_hosts_trouble_and_not_the_archives(place: Place) -> None:
    content = tar_of({"t/a": b"1" * 1_000_000})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    archive = place.root / "archive"
    archive.write_bytes(content)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            unpack_archive(archive, place.target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_links_of_a_tree_are_checked_wherever_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/ok").symlink_to("../file")
    check_links(tmp_path / "tree", "a repository")
    (tmp_path / "tree/sub/bad").symlink_to("../../file")
    with pytest.raises(ArchiveError, match="sub/bad"):
        check_links(tmp_path / "tree", "a repository")


parts = st.sampled_from(["a", "b", "..", ".", "", "c" * 200])
paths = st.lists(parts, min_size=1, max_size=5).map("/".join)
kinds = st.sampled_from([FILE, LINK, LINK, HARD, FOLDER, tarfile.FIFOTYPE])
members = st.lists(st.tuples(paths, kinds, paths), max_size=8)
zip_modes = st.sampled_from([0o100644, 0o120777, 0o040755, 0, 0o020644])


def survive(folder: Path, content: bytes) -> None:
    """Unpack; the only outcome but success is ArchiveError, and nothing lands outside."""
    place = Place(folder)
    error = refusal(lambda: place.unpack(content, max_bytes=1_000_000), ArchiveError)
    assert error is None or error.fix
    real = os.path.realpath(place.target)
    for path in place.target.rglob("*"):
        assert f"{os.path.realpath(path)}/".startswith(f"{real}/")
    place.check_untouched()


@given(members)
def test_no_tar_of_any_members_writes_outside(
    tmp_path_factory: pytest.TempPathFactory, listed: list[Member]
) -> None:
    survive(tmp_path_factory.mktemp("fuzz") / "place", tar_with(*listed))


@given(st.lists(st.tuples(paths, zip_modes, paths.map(str.encode)), max_size=8))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_zip_of_any_members_writes_outside(
    tmp_path_factory: pytest.TempPathFactory, listed: list[tuple[str, int, bytes]]
) -> None:
    survive(tmp_path_factory.mktemp("fuzz") / "place", zip_with(*listed))


SEEDS = [
    tar_with(("t/a", FILE, "text"), ("t/l", LINK, "a"), ("t/" + "n" * 120, FILE, "x")),
    gzip.compress(tar_of(FILES), mtime=0),
    bz2.compress(tar_of(FILES)),
    lzma.compress(tar_of(FILES)),
    zstandard.compress(tar_of(FILES)),
    zip_with(("t/a", 0o100755, b"text"), ("t/l", 0o120777, b"a")),
]
edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6)


def mutate(seed: bytes, changes: list[tuple[float, int]], keep: float) -> bytes:
    """Overwrite some bytes and cut the end off."""
    content = bytearray(seed)
    for where, value in changes:
        content[int(where * len(content))] = value
    return bytes(content[: max(1, int(len(content) * keep))])


mutants = st.builds(mutate, st.sampled_from(SEEDS), edits, st.just(1.0) | st.floats(0, 1))


@given(mutants)
def test_a_mutated_archive_is_unpacked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    survive(tmp_path_factory.mktemp("fuzz") / "place", content)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=6000)
@given(mutants | members.map(lambda listed: tar_with(*listed)))
def test_thousands_of_hostile_archives_are_unpacked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    survive(tmp_path_factory.mktemp("fuzz") / "place", content)
