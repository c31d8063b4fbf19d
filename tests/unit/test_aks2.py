"""AOTriton's packs of kernels: packs made here, whole, cut off, lying, and made to burst."""

import lzma
import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strixforge.audit.aks2 import MAGIC, members
from strixforge.audit.bounds import Budget, MalformedError
from strixforge.audit.codeobjects import CodeObject, Unreadable, scan
from tests.unit.test_codeobjects import GFX1100, brief, device

IMAGES = {"attn_fwd": device(kernels=["attn_fwd"]), "left_out": b"", "attn_bwd": device()}


def plain(images: dict[str, bytes], nul: bytes = b"\0") -> tuple[bytes, int]:
    """Return a pack's directory and images, and the length of the directory."""
    directory, body = b"", b""
    for name, image in images.items():
        text = name.encode() + nul
        directory += struct.pack("<IIIII", 1024, 256, len(body), len(image), len(text)) + text
        body += image
    return directory + body, len(directory)


def pack(content: bytes, count: int, directory: int, size: int | None = None) -> bytes:
    size = len(content) if size is None else size
    header = struct.pack("<4sIII", MAGIC, size, count, directory)
    return header + lzma.compress(content, format=lzma.FORMAT_XZ, preset=1)


def packed(images: dict[str, bytes]) -> bytes:
    content, directory = plain(images)
    return pack(content, len(images), directory)


WHOLE = packed(IMAGES)


def read(data: bytes, budget: int = 1 << 30) -> list[tuple[str, bytes]]:
    return [(name, bytes(image)) for name, image in members(memoryview(data), Budget(budget))]


def refused(data: bytes) -> str:
    with pytest.raises(MalformedError) as caught:
        read(data)
    return str(caught.value)


def test_each_kernel_comes_with_its_name_and_those_left_out_do_not() -> None:
    assert read(WHOLE) == [("attn_fwd", IMAGES["attn_fwd"]), ("attn_bwd", IMAGES["attn_bwd"])]


def test_names_may_end_with_a_nul_or_not() -> None:
    content, directory = plain(IMAGES, b"")
    assert [name for name, _ in read(pack(content, 3, directory))] == ["attn_fwd", "attn_bwd"]


def test_an_empty_pack() -> None:
    assert read(pack(b"", 0, 0)) == []


def test_a_scan_finds_the_code_objects_in_it(tmp_path: Path) -> None:
    path = tmp_path / "flash.aks2"
    path.write_bytes(WHOLE)
    assert brief(list(scan(path))) == [
        (f"{path}!{name}", "gfx1151", None, len(IMAGES[name]), kernels)
        for name, kernels in (("attn_fwd", ["attn_fwd"]), ("attn_bwd", ["axpy", "gemm"]))
    ]


def test_a_scan_finds_the_one_of_another_target(tmp_path: Path) -> None:
    path = tmp_path / "flash.aks2"
    path.write_bytes(packed({"a": device(), "b": device(GFX1100)}))
    found = [one.target for one in scan(path) if isinstance(one, CodeObject)]
    assert found == ["gfx1151", "gfx1100"]


def test_what_is_no_code_object_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "flash.aks2"
    path.write_bytes(packed({"a": b"; assembly of nothing"}))
    (only,) = scan(path)
    assert isinstance(only, Unreadable)
    assert "no ELF image" in only.reason


def test_a_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "flash.aks2"
    path.write_bytes(packed({"\x1b[2J": device()}))
    (only,) = scan(path)
    assert only.where == f"{path}!\\x1b[2J"


CONTENT, DIRECTORY = plain(IMAGES)


def entry(offset: int, length: int, name: bytes = b"k\0", name_length: int | None = None) -> bytes:
    count = len(name) if name_length is None else name_length
    return struct.pack("<IIIII", 0, 0, offset, length, count) + name


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (MAGIC, "the pack's header needs"),
        (WHOLE[:15], "the pack's header needs"),
        (WHOLE[:16], "its stream has another length"),
        (WHOLE[:-60], "its stream has another length"),
        (WHOLE[:20] + b"\xff" + WHOLE[21:], "xz stream cannot be read"),
        (WHOLE[:16] + b"no xz at all", "xz stream cannot be read"),
        (pack(CONTENT, 3, DIRECTORY, size=len(CONTENT) - 1), "its stream has another length"),
        (pack(CONTENT, 3, DIRECTORY, size=len(CONTENT) + 1), "its stream has another length"),
        (pack(CONTENT, 3, len(CONTENT) + 1), "a directory of"),
        (pack(CONTENT, 3, DIRECTORY - 1), "entry 2 of the pack's directory lies outside"),
        (pack(CONTENT, 3, 0), "entry 0 of the pack's directory lies outside"),
        (pack(CONTENT, 4, DIRECTORY), "entry 3 of the pack's directory"),
        (pack(b"", 0xFFFFFFFF, 0), "entry 0 of the pack's directory needs"),
        (pack(entry(0, 5) + b"1234", 1, 22), "the kernels of the pack overlap"),
        (pack(entry(0xFFFFFFFF, 5), 1, 22), "the kernels of the pack overlap"),
        (pack(entry(0, 0, name_length=0xFFFFFFFF), 1, 22), "entry 0 of the pack's directory needs"),
    ],
)
def test_a_pack_that_lies_says_where(data: bytes, why: str) -> None:
    assert why in refused(data)


def test_a_pack_larger_than_its_budget_is_not_unpacked() -> None:
    bomb = pack(bytes(64 << 20), 0, 0)
    assert len(bomb) < 32 << 10
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError, match="far more than the file"):
            read(bomb, 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_that_says_it_is_small_is_left_at_that_size() -> None:
    bomb = pack(bytes(64 << 20), 0, 0, size=100)
    tracemalloc.start()
    try:
        assert "another length" in refused(bomb)
        # xz's own dictionary is among it.
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_dictionary_larger_than_the_bound_is_refused() -> None:
    filters = bytearray(lzma.compress(b"x" * 100, format=lzma.FORMAT_XZ))
    assert filters[15:16] == b"\x01"  # the size of LZMA2's properties; after it, the dictionary's
    filters[16] = 40  # 4 GiB less a byte
    filters[20:24] = struct.pack("<I", zlib.crc32(bytes(filters[12:20])))
    header = struct.pack("<4sIII", MAGIC, 100, 0, 0)
    assert "xz stream cannot be read" in refused(header + bytes(filters))


@pytest.mark.parametrize("lost", [1, 12, 24])
def test_a_pack_that_lost_its_last_bytes_is_cut_off(lost: int) -> None:
    refused(WHOLE[:-lost])


HOSTILE = settings(
    max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@HOSTILE
@given(
    entries=st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 200), st.binary(max_size=8)), max_size=5
    ),
    count=st.integers(0, 8),
    directory=st.integers(0, 200),
    tail=st.binary(max_size=60),
)
def test_any_directory_is_read_inside_the_pack_or_refused(
    entries: Sequence[tuple[int, int, bytes]], count: int, directory: int, tail: bytes
) -> None:
    content = b"".join(entry(*one) for one in entries) + tail
    try:
        found = read(pack(content, count, directory))
    except MalformedError:
        return
    assert all(image in content for _, image in found)


@HOSTILE
@given(data=st.data())
def test_changed_bytes_never_raise_in_a_scan(tmp_path: Path, data: st.DataObject) -> None:
    changed = bytearray(WHOLE)
    for place in data.draw(st.lists(st.integers(4, len(changed) - 1), min_size=1, max_size=3)):
        changed[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "flash.aks2"
    path.write_bytes(changed)
    list(scan(path))
