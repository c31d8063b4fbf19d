"""The code-object reader and the architecture gate, on images assembled here byte by byte.

`device` writes what clang and Triton write: an ELF64 header for AMDGPU, a note segment with
msgpack metadata and a section table. pyelftools reads the same images as a second opinion.
"""

import hashlib
import io
import os
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import pytest
import zstandard
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import NoteSegment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strixforge.audit import archives, bounds, bundles
from strixforge.audit.bodies import Body
from strixforge.audit.codeobjects import CodeObject, Unreadable, scan
from strixforge.audit.gate import architecture_findings
from strixforge.audit.kernels import Kernel
from strixforge.audit.targets import MACHINES, covers, label_agrees, target_of

GFX1151, GFX1100, GFX90A, GFX11_GENERIC = 0x4A, 0x41, 0x3F, 0x54
V3, V5, V6 = 1, 3, 4
LABEL = "hipv4-amdgcn-amd-amdhsa--gfx1151"
LABEL_1100 = "hipv4-amdgcn-amd-amdhsa--gfx1100"
HOST = ("host-x86_64-unknown-linux-gnu-", b"")


def section_header(name: int, kind: int, offset: int, size: int) -> bytes:
    return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, 0, 0, 1, 0)


def elf_image(
    machine: int,
    sections: Sequence[tuple[str, int, bytes]],
    flags: int = 0,
    ident: bytes = bytes(9),
    segments: Sequence[int] = (),
    loads: Sequence[int] = (),
) -> bytes:
    """Assemble an ELF64 file; `segments` numbers the sections that are note segments too.

    `loads` numbers those that are loaded, at the address that is their offset in the file.
    """
    body, headers, names = b"", section_header(0, 0, 0, 0), b"\0"
    start = 64 + 56 * (len(segments) + len(loads))
    places = []
    every_name = b"\0" + b"".join(name.encode() + b"\0" for name, _, _ in sections)
    for name, kind, data in [*sections, (".shstrtab", 3, every_name + b".shstrtab\0")]:
        places.append((start + len(body), len(data)))
        headers += section_header(len(names), kind, *places[-1])
        names += name.encode() + b"\0"
        body += data + bytes(-len(data) % 8)
    programs = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, at, at if kind == 1 else 0, 0, size, size, 4)
        for kind, numbers in ((4, segments), (1, loads))
        for at, size in (places[n] for n in numbers)
    )
    header = b"\x7fELF\x02\x01\x01" + ident + struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, start + len(body), flags,
        64, 56, len(segments) + len(loads), 64, len(sections) + 2, len(sections) + 1,
    )  # fmt: skip
    return header + programs + body + headers


def note(contents: bytes, owner: bytes = b"AMDGPU\0", kind: int = 32) -> bytes:
    padded = owner + bytes(-len(owner) % 4) + contents + bytes(-len(contents) % 4)
    return struct.pack("<III", len(owner), len(contents), kind) + padded


def metadata(*kernels: str) -> bytes:
    return msgspec.msgpack.encode(
        {
            "amdhsa.kernels": [{".name": name, ".sgpr_count": 9, ".args": []} for name in kernels],
            "amdhsa.target": "amdgcn-amd-amdhsa--gfx1151",
            "amdhsa.version": [1, 2],
        }
    )


def device(
    flags: int = GFX1151,
    kernels: Sequence[str] = ("axpy", "gemm"),
    abi_version: int = V5,
    notes: bytes | None = None,
    os_abi: int = 64,
) -> bytes:
    contents = note(metadata(*kernels)) if notes is None else notes
    return elf_image(
        224,
        [(".note", 7, contents), (".text", 1, b"\xbf\x81\0\0" * 8)],
        flags,
        bytes([os_abi, abi_version]) + bytes(7),
        segments=[0],
    )


def bundle(*entries: tuple[str, bytes], align: int = 4096) -> bytes:
    table, body = b"", b""
    start = 32 + sum(24 + len(label) for label, _ in entries)
    for label, data in entries:
        body += bytes(-(start + len(body)) % align)
        table += struct.pack("<QQQ", start + len(body), len(data), len(label)) + label.encode()
        body += data
    return b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", len(entries)) + table + body


def compressed(plain: bytes, version: int = 2, method: int = 1, size: int | None = None) -> bytes:
    packed = zstandard.compress(plain) if method == 1 else zlib.compress(plain)
    size = len(plain) if size is None else size
    digest = hashlib.md5(plain, usedforsecurity=False).digest()[:8]
    layout, header = {1: ("<I", 20), 2: ("<II", 24), 3: ("<QQ", 32)}[version]
    sizes = (size,) if version == 1 else (header + len(packed), size)
    common = b"CCOB" + struct.pack("<HH", version, method)
    return common + struct.pack(layout, *sizes) + digest + packed


def fatbin(*images: bytes, wrappers: int | None = None) -> bytes:
    """Assemble a host library as a linker does: bundles aligned to 4096, 24 bytes for each."""
    section = b"".join(image + bytes(-len(image) % 4096) for image in images)
    count = len(images) if wrappers is None else wrappers
    return elf_image(62, [(".hip_fatbin", 1, section), (".hipFatBinSegment", 1, bytes(24 * count))])


def brief(
    findings: Iterable[CodeObject | Unreadable],
) -> list[tuple[str, str, str | None, int, list[str]]]:
    """Return the code objects with the names of their kernels; nothing may be unreadable."""
    objects = [one for one in findings if isinstance(one, CodeObject)]
    assert objects == list(findings)
    return [
        (one.where, one.target, one.label, one.size, [kernel.name for kernel in one.kernels])
        for one in objects
    ]


def found(path: Path, content: bytes) -> list[CodeObject | Unreadable]:
    path.write_bytes(content)
    return list(scan(path))


def reason(path: Path, content: bytes) -> str:
    """Return why the file is unreadable; it must be nothing else."""
    (only,) = found(path, content)
    assert isinstance(only, Unreadable)
    return only.reason


PLAIN = bundle(HOST, (LABEL, device()), (LABEL_1100, device(GFX1100, ["axpy"])))
SAMPLES = {
    "a.hsaco": device(),
    "plain.co": PLAIN,
    "zstd.co": compressed(PLAIN),
    "zlib.co": compressed(PLAIN, 3, 0),
    "lib.so": fatbin(compressed(PLAIN, 1), PLAIN),
}


def test_second_reader_agrees() -> None:
    image = ELFFile(io.BytesIO(device()))
    assert (image["e_machine"], image["e_flags"] & 0xFF) == ("EM_AMDGPU", GFX1151)
    (segment,) = image.iter_segments()
    assert isinstance(segment, NoteSegment)
    (read,) = segment.iter_notes()
    assert (read["n_name"], read["n_descdata"]) == ("AMDGPU", metadata("axpy", "gemm"))
    host = ELFFile(io.BytesIO(fatbin(PLAIN)))
    section = host.get_section_by_name(".hip_fatbin")
    assert section is not None
    assert section.data().startswith(PLAIN)


def test_raw_code_object(tmp_path: Path) -> None:
    path = tmp_path / "kernel.hsaco"
    image = device()
    assert brief(found(path, image)) == [(str(path), "gfx1151", None, len(image), ["axpy", "gemm"])]


@pytest.mark.parametrize(
    ("flags", "abi_version", "target"),
    [
        (GFX1151, V5, "gfx1151"),
        (GFX11_GENERIC | 1 << 24, V6, "gfx11-generic"),
        (GFX90A | 0x500, V5, "gfx90a"),
        (GFX90A | 0xE00, V5, "gfx90a:sramecc+:xnack-"),
        (GFX90A | 0xB00, V5, "gfx90a:sramecc-:xnack+"),
        (0x2F | 0x200, V5, "gfx906:xnack-"),
        (0x2F | 0x300, V3, "gfx906:sramecc+:xnack+"),
        (0x2F, V3, "gfx906"),
    ],
)
def test_target(flags: int, abi_version: int, target: str) -> None:
    assert target_of(flags, 64, abi_version) == target


def test_machines_are_one_to_one() -> None:
    assert len(set(MACHINES.values())) == len(MACHINES)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (device(flags=0xEB), "machine 0xeb is not known"),
        (device(abi_version=0), "ABI version 0"),
        (device(abi_version=9), "ABI version 9"),
        (device(os_abi=65), "OS ABI 65 is not amdhsa"),
        (device(notes=b""), "no AMDGPU metadata note"),
        (device(notes=note(metadata(), owner=b"AMD\0")), "no AMDGPU metadata note"),
        (device(notes=note(b"\x81\xa1x" + b"\x91" * 100_000)), "kernel metadata"),
        (device(notes=note(b"\xdf\xff\xff\xff\xff")), "kernel metadata"),
        (device(notes=note(b"\x81\xaeamdhsa.kernels\x91\x80")), "kernel metadata"),
        (device(notes=note(b"\x81\xaeamdhsa.kernels\x91\x81\xa5.name\xa1\xff")), "kernel metadata"),
        (device(notes=struct.pack("<III", 7, 1 << 31, 32)), "a note"),
        (device()[:-1], "section"),
    ],
)
def test_code_object_that_cannot_be_read(image: bytes, why: str, tmp_path: Path) -> None:
    assert why in reason(tmp_path / "kernel.hsaco", image)


@pytest.mark.parametrize(
    "content",
    [PLAIN, *(compressed(PLAIN, version, method) for version in (1, 2, 3) for method in (0, 1))],
)
def test_bundle(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "kernels.co"
    assert brief(found(path, content)) == [
        (f"{path}!0!{LABEL}", "gfx1151", LABEL, len(device()), ["axpy", "gemm"]),
        (
            f"{path}!0!{LABEL_1100}", "gfx1100", LABEL_1100, len(device(GFX1100, ["axpy"])),
            ["axpy"],
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (bundle((LABEL, b"BC\xc0\xde bitcode")), "no ELF image"),
        (bundle((LABEL, b"")), "no ELF image"),
        (bundle(("host-x86_64-unknown-linux-gnu-", b"\x7fELF")), "ELF identification"),
        (bundle((LABEL, elf_image(62, []))), "machine 62 is not AMDGPU"),
        (bundle((LABEL, device(GFX1100))), f"the bundle says {LABEL}, its ELF header says gfx1100"),
        (PLAIN[:-1], "entry 2"),
        (bundle((LABEL, device()), align=1)[:40], "the header of entry 0 of 1"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + b"\xff" * 64, "entries, 1024 at most"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<QQQQ", 1, 56, 0, 1 << 40), "id of entry 0"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<QQQQ", 1, 0, 40, 0), "overlaps the header"),
        (
            b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<QQQQQQQ", 2, 80, 9, 0, 80, 9, 0) + bytes(9),
            "overlaps the one before",
        ),
        (compressed(compressed(PLAIN)), "not an offload bundle"),
        (compressed(PLAIN, size=len(PLAIN) + 1), "claims"),
        (compressed(PLAIN, size=len(PLAIN) - 1), "larger than"),
        (compressed(PLAIN, 3, size=1 << 62), "claims"),
        (compressed(PLAIN)[:-1], "a compressed bundle needs"),
        (b"CCOB" + struct.pack("<HH", 4, 1) + bytes(40), "version 4 is not known"),
        (b"CCOB" + struct.pack("<HHIIQ", 2, 7, 24, 0, 0), "method 7 is not known"),
        (b"CCOB" + struct.pack("<HHIIQ", 2, 1, 3, 0, 0), "a compressed bundle needs"),
    ],
)
def test_bundle_that_cannot_be_read(content: bytes, why: str, tmp_path: Path) -> None:
    assert why in reason(tmp_path / "kernels.co", content)


def test_host_library_holds_several_bundles(tmp_path: Path) -> None:
    path = tmp_path / "libkernels.so"
    items = found(path, fatbin(PLAIN, compressed(PLAIN), compressed(PLAIN, 1)))
    assert [item.where for item in items] == [
        f"{path}!.hip_fatbin!{ordinal}!{label}"
        for ordinal in range(3)
        for label in (LABEL, LABEL_1100)
    ]


def test_host_library_with_a_lost_bundle(tmp_path: Path) -> None:
    *objects, last = found(tmp_path / "lib.so", fatbin(PLAIN, wrappers=2))
    assert len(objects) == 2
    assert isinstance(last, Unreadable)
    assert "1 bundles in .hip_fatbin, but .hipFatBinSegment has 48 bytes" in last.reason


def test_what_lies_between_bundles(tmp_path: Path) -> None:
    *objects, last = found(tmp_path / "lib.so", fatbin(PLAIN, b"garbage", wrappers=1))
    assert len(objects) == 2
    assert isinstance(last, Unreadable)
    assert last.reason == "this is not an offload bundle"
    far_off = bytes(2 * bundles.LONGEST_PADDING) + PLAIN
    assert "bytes of zeros" in reason(tmp_path / "lib.so", fatbin(far_off))


def test_other_host_sections(tmp_path: Path) -> None:
    bitcode = elf_image(62, [(f"__CLANG_OFFLOAD_BUNDLE__{LABEL}", 1, b"BC\xc0\xde")])
    assert "no ELF image" in reason(tmp_path / "rdc.o", bitcode)
    foreign = elf_image(62, [("__CLANG_OFFLOAD_BUNDLE__sycl-spir64-unknown-unknown", 1, b"x")])
    assert found(tmp_path / "sycl.o", foreign) == []
    packaged = elf_image(62, [(".llvm.offloading", 1, b"\x10\xff\x10\xad")])
    assert "offload binaries" in reason(tmp_path / "new.o", packaged)
    assert found(tmp_path / "plain.so", elf_image(62, [(".text", 1, b"gfx1151")])) == []
    header = elf_image(62, [])[:64]
    sectionless = header[:40] + bytes(8) + header[48:]
    assert "without sections" in reason(tmp_path / "packed", sectionless)


def test_static_library(tmp_path: Path) -> None:
    def member(name: str, data: bytes) -> bytes:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(data):<10}`\n"
        return header.encode() + data + b"\n" * (len(data) % 2)

    path = tmp_path / "libkernels.a"
    names = b"a_name_that_is_too_long.o/\nb.co/\n"
    content = archives.AR_MAGIC + member("/", b"abc") + member("//", names)
    content += member("/0", fatbin(PLAIN)) + member("k.co/", b"no") + member("text.o/", b"gfx1151")
    *objects, last = found(path, content)
    assert [item.where.split("!")[1] for item in objects] == ["a_name_that_is_too_long.o"] * 2
    assert isinstance(last, Unreadable)
    assert last.where == f"{path}!k.co"
    *_, last = found(path, content[:-3])
    assert isinstance(last, Unreadable)
    assert "an archive member needs" in last.reason


def test_text_is_no_hit(tmp_path: Path) -> None:
    assert found(tmp_path / "notes.txt", b"built for gfx1151, gfx1100") == []
    assert found(tmp_path / "empty", b"") == []


@pytest.mark.parametrize("name", ["a.hsaco", "a.co", "a.KPACK", "a.aks2", "a.whl", "a.zip"])
@pytest.mark.parametrize("content", [b"", b"\x5d\0\0\x80 gfx1151"])
def test_unknown_format_is_a_finding(name: str, content: bytes, tmp_path: Path) -> None:
    assert reason(tmp_path / name, content)


def test_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside.hsaco"
    outside.write_bytes(device())
    tree = tmp_path / "tree"
    (tree / "b").mkdir(parents=True)
    (tree / "b" / "k.hsaco").write_bytes(device())
    os.link(tree / "b" / "k.hsaco", tree / "b" / "same.hsaco")
    (tree / "a.hsaco").symlink_to(tree / "b" / "k.hsaco")
    (tree / "out.hsaco").symlink_to(outside)
    (tree / "up").symlink_to(tmp_path, target_is_directory=True)
    (tree / "cycle").symlink_to(tree, target_is_directory=True)
    os.mkfifo(tree / "z.co")
    assert [item.where for item in scan(tree)] == [f"{tree}/z.co", f"{tree}/b/k.hsaco"]
    (tmp_path / "link").symlink_to(outside)
    assert [type(item) for item in scan(tmp_path / "link")] == [CodeObject]
    assert [type(item) for item in scan(tmp_path / "missing")] == [Unreadable]


def test_deep_folder(tmp_path: Path) -> None:
    """1200 levels: deeper than Python recurses, in making, scanning and removing."""

    def step(here: int, name: str) -> int:
        there = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        return there

    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        here = step(here, "d")
    try:
        assert list(scan(tmp_path)) == []
    finally:
        for _ in range(1200):
            here = step(here, "..")
            os.rmdir("d", dir_fd=here)
        os.close(here)


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\x1b[2J\xff.hsaco"
    Path(os.fsdecode(raw)).write_bytes(b"")
    (only,) = scan(tmp_path)
    assert only.where.endswith("/\\x1b[2J\\xdcff.hsaco")


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_wheel(tmp_path: Path) -> None:
    path = tmp_path / "pkg-1-py3-none-any.whl"
    wheel = zipped(
        {
            "pkg/_C.so": fatbin(PLAIN),
            "pkg/k.hsaco": device(),
            "pkg/notes.txt": b"gfx1151",
            "pkg/images.zip": zipped({"k.hsaco": device()}, zipfile.ZIP_STORED),
            "pkg/flash.aks2": b"\xfd7zXZ\0",
        }
    )
    items = found(path, wheel)
    assert [item.where.removeprefix(f"{path}!pkg/") for item in items] == [
        f"_C.so!.hip_fatbin!0!{LABEL}",
        f"_C.so!.hip_fatbin!0!{LABEL_1100}",
        "k.hsaco",
        "images.zip!k.hsaco",
        "flash.aks2",
    ]
    assert [type(item) for item in items] == [CodeObject] * 4 + [Unreadable]


def test_zip_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    good = zipped({"k.hsaco": device()})
    assert "cannot be read" in reason(path, good[:-10])
    stored = zipped({"k.hsaco": device()}, zipfile.ZIP_STORED)
    assert "CRC" in reason(path, stored.replace(b"axpy", b"AXPY", 1))
    assert "method 14" in reason(path, zipped({"k.hsaco": device()}, zipfile.ZIP_LZMA))
    nested = zipped({"a.zip": zipped({"b.zip": zipped({"c.zip": good})})})
    assert "nested" in reason(path, nested)
    encrypted = bytearray(good)
    encrypted[6] |= 1
    encrypted[good.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in reason(path, bytes(encrypted))


def test_zip_member_without_a_name(tmp_path: Path) -> None:
    wheel = bytearray(zipped({"k": device()}, zipfile.ZIP_STORED))
    # The one byte of the name becomes an extra field, in both headers.
    wheel[26:30] = struct.pack("<HH", 0, 1)
    at = wheel.index(b"PK\x01\x02") + 28
    wheel[at : at + 4] = struct.pack("<HH", 0, 1)
    (only,) = found(tmp_path / "a.whl", bytes(wheel))
    assert isinstance(only, CodeObject)
    assert only.where.endswith("a.whl!")


@pytest.mark.parametrize("name", ["bomb.whl", "bomb.co"])
def test_bomb(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds.Budget, "for_file", lambda size, _: bounds.Budget(20 * size))
    plain = b"\x7fELF" + bytes(8 << 20)
    content = zipped({"k.so": plain}) if name == "bomb.whl" else compressed(plain)
    tracemalloc.start()
    try:
        assert "unpacks to far more" in reason(tmp_path / name, content)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_understated_bomb(tmp_path: Path) -> None:
    """The frame is 64 MiB, the header claims 100 bytes: stop at the first piece past 100."""
    assert "larger than" in reason(tmp_path / "a.co", compressed(bytes(64 << 20), size=100))


HOSTILE = settings(
    max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("name", SAMPLES)
@HOSTILE
@given(data=st.data())
def test_truncated_file_is_a_finding(name: str, tmp_path: Path, data: st.DataObject) -> None:
    size = data.draw(st.integers(4, len(SAMPLES[name]) - 1))
    items = found(tmp_path / name, SAMPLES[name][:size])
    assert any(isinstance(item, Unreadable) for item in items)


@pytest.mark.parametrize("name", SAMPLES)
@HOSTILE
@given(data=st.data())
def test_changed_bytes_never_raise(name: str, tmp_path: Path, data: st.DataObject) -> None:
    changed = bytearray(SAMPLES[name])
    # Most bytes are padding: aim at headers as often as anywhere.
    places = st.integers(0, 300) | st.integers(0, len(changed) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    found(tmp_path / name, bytes(changed))


@HOSTILE
@given(data=st.data())
def test_changed_wheel_never_raises(tmp_path: Path, data: st.DataObject) -> None:
    wheel = bytearray(zipped({"a.hsaco": device(), "b.zip": zipped({"c.co": PLAIN})}))
    place = data.draw(st.integers(0, len(wheel) - 1))
    wheel[place] = data.draw(st.integers(0, 255))
    found(tmp_path / "a.whl", bytes(wheel))


@HOSTILE
@given(
    magic=st.sampled_from(
        [b"", b"\x7fELF\x02\x01", bundles.PLAIN_MAGIC, bundles.COMPRESSED_MAGIC,
         b"CCOB\x02\0\x01\0", archives.AR_MAGIC, archives.ZIP_MAGICS[0]]
    ),
    tail=st.binary(max_size=400),
)  # fmt: skip
def test_random_bytes_never_raise(tmp_path: Path, magic: bytes, tail: bytes) -> None:
    found(tmp_path / "a.co", magic + tail)


def test_labels() -> None:
    assert label_agrees(LABEL, "gfx1151", V5)
    assert label_agrees("hip-amdgcn-amd-amdhsa-unknown-gfx1151", "gfx1151", V5)
    assert label_agrees("hipv4-amdgcn-amd-amdhsa--gfx10-3-generic", "gfx10-3-generic", V6)
    assert not label_agrees("hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-", "gfx90a", V5)
    assert label_agrees("hip-amdgcn-amd-amdhsa--gfx906+sramecc", "gfx906:sramecc+", V3)
    assert not label_agrees("hip-amdgcn-amd-amdhsa--gfx908", "gfx906", V3)


def test_generic_targets() -> None:
    assert covers("gfx11-generic", "gfx1151")
    assert covers("gfx90a:xnack-", "gfx90a")
    assert not covers("gfx11-generic", "gfx1170")
    assert not covers("gfx1150", "gfx1151")


def code_object(target: str, *kernels: str) -> CodeObject:
    known = tuple(Kernel(name, 0, 0, 0, 0, 0, 0, 0, 0, Body.UNREAD) for name in kernels)
    return CodeObject(f"lib.so!{target}", target, None, 100, known)


def test_gate_passes() -> None:
    good = [code_object("gfx1151", "axpy"), code_object("gfx11-generic", "gemm")]
    assert architecture_findings(good, "gfx1151", required=True) == []
    assert architecture_findings([], "gfx1151", required=False) == []


def test_gate_refuses() -> None:
    bad: list[CodeObject | Unreadable] = [
        code_object("gfx1100", "axpy"),
        Unreadable("k.aks2", "its format is not known"),
    ]
    assert architecture_findings(bad, "gfx1151", required=True) == [
        "lib.so!gfx1100 is built for gfx1100, not for gfx1151.",
        "k.aks2 cannot be read: its format is not known.",
        "There is no code object at all for gfx1151.",
    ]
    assert architecture_findings([code_object("gfx1151")], "gfx1151", required=True) == [
        "The code objects for gfx1151 (1) hold no kernel."
    ]


def test_empty_entries_that_lie_before_their_table_end(tmp_path: Path) -> None:
    """The bundle would end where it begins: found by the fuzzer."""
    magic = b"__CLANG_OFFLOAD_BUNDLE__"
    rows = struct.pack("<QQQ", 0, 0, 4) + b"host"
    content = magic + struct.pack("<Q", 2) + rows * 2
    listed = found(tmp_path / "k.co", content * 3)
    assert [type(one) for one in listed] == [Unreadable] * 6


def test_bundles_inside_the_labels_of_others_cost_no_time(tmp_path: Path) -> None:
    """Each of 20,000 would have a table that reaches over the next thousand."""
    inner = b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", 1000)
    row = struct.pack("<QQQ", 0, 0, len(inner)) + inner
    began = time.monotonic()
    found(tmp_path / "k.co", inner + row * 20_000)
    assert time.monotonic() - began < 20
