"""What code objects say of each kernel: of clang where it is there, made ones, and hostile ones."""

import contextlib
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strixforge.audit import elf
from strixforge.audit.bodies import Body
from strixforge.audit.bounds import MalformedError
from strixforge.audit.kernels import Kernel, read_kernels
from strixforge.audit.targets import target_of
from tests.unit.test_codeobjects import GFX1151, V5, elf_image, note

SOURCE = """\
kernel void rotate(global float *a) {
  local float t[64];
  unsigned i = __builtin_amdgcn_workitem_id_x();
  t[i & 63] = a[i];
  a[i] = t[(i + 1) & 63];
}
kernel void dynamic(global int *a, int n) {
  volatile int t[100];
  for (int i = 0; i < 100; i++) t[i] = a[i];
  a[0] = t[n];
}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a code object that clang made for gfx1151."""
    clang = shutil.which("clang") or shutil.which("amdclang") or "/opt/rocm/llvm/bin/clang"
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "a.cl").write_text(SOURCE)
    target = ["-x", "cl", "--target=amdgcn-amd-amdhsa", "-mcpu=gfx1151", "-nogpulib", "-O2"]
    try:
        done = subprocess.run(
            [clang, *target, "-o", "a.co", "a.cl"], cwd=folder, capture_output=True, text=True
        )
    except OSError:
        pytest.skip("clang is not installed")
    if done.returncode:
        pytest.skip(f"clang makes no code object for gfx1151: {done.stderr.splitlines()[:1]}")
    return folder / "a.co"


def test_what_clang_compiled_is_read(compiled: Path) -> None:
    kernels = read(compiled.read_bytes())
    found = {one.name: one for one in kernels}
    assert found.keys() == {"rotate", "dynamic"}
    assert found["rotate"].lds == 256
    assert found["rotate"].scratch == 0
    assert found["dynamic"].scratch >= 400
    for one in kernels:
        assert one.wavefront == 32
        assert one.text > 0
        assert one.vgprs > 0
        assert one.vgpr_spills == 0
        assert one.body is Body.WORKS


def test_every_cut_of_what_clang_compiled_is_refused_or_read(compiled: Path) -> None:
    whole = compiled.read_bytes()
    for size in range(0, len(whole), 97):
        raises_or_reads(whole[:size])


def metadata(*kernels: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode({"amdhsa.version": [1, 2], "amdhsa.kernels": list(kernels)})


FULL = {
    ".name": "gemm",
    ".vgpr_count": 96,
    ".sgpr_count": 40,
    ".vgpr_spill_count": 3,
    ".sgpr_spill_count": 1,
    ".private_segment_fixed_size": 128,
    ".group_segment_fixed_size": 65536,
    ".wavefront_size": 32,
    ".args": [{".size": 8}],
}


def image(
    notes: bytes, code: dict[str, bytes] | None = None, flags: int = GFX1151, kind: int = 2
) -> bytes:
    """Return a code object with these notes, and a dynamic symbol table of functions."""
    names, table, text = b"\0", bytes(24), b""
    start = 64 + 2 * 56  # behind the headers, where the first section lies
    for name, body in (code or {}).items():
        table += struct.pack("<IBBHQQ", len(names), 0x10 | kind, 0, 2, start + len(text), len(body))
        names += name.encode() + b"\0"
        text += body
    sections = [
        *((".text", 1, text), (".note", 7, notes), (".dynsym", 11, table), (".dynstr", 3, names)),
    ]
    ident = bytes([64, V5]) + bytes(7)
    return elf_image(224, sections, flags, ident, segments=[1], loads=[0])


def read(data: bytes) -> tuple[Kernel, ...]:
    parsed = elf.Elf(memoryview(data))
    return read_kernels(parsed, target_of(parsed.flags, parsed.os_abi, parsed.abi_version))


def raises_or_reads(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        read(data)


def test_each_figure_is_the_metadatas() -> None:
    assert read(image(note(metadata(FULL)), {"gemm": bytes(4096), "gemm.kd": bytes(64)})) == (
        Kernel("gemm", vgprs=96, sgprs=40, vgpr_spills=3, sgpr_spills=1, scratch=128, lds=65536,
               wavefront=32, text=4096, body=Body.WORKS),
    )  # fmt: skip


def test_what_is_not_said_is_nothing() -> None:
    nothing = Kernel("k", 0, 0, 0, 0, 0, 0, 0, 0, Body.UNREAD)
    assert read(image(note(metadata({".name": "k"})))) == (nothing,)


def test_the_order_is_the_metadatas_over_all_notes() -> None:
    notes = note(metadata({".name": "b"}, {".name": "a"})) + note(metadata({".name": "c"}))
    assert [one.name for one in read(image(notes))] == ["b", "a", "c"]


def test_a_symbol_that_is_no_function_is_no_code() -> None:
    assert read(image(note(metadata(FULL)), {"gemm": bytes(4096)}, kind=1))[0].text == 0


def test_a_code_object_without_kernels() -> None:
    assert read(image(note(metadata()))) == ()


def test_code_outside_of_what_is_loaded_is_refused() -> None:
    data = bytearray(image(note(metadata(FULL)), {"gemm": bytes(4096)}))
    at = data.index(struct.pack("<QQ", 64 + 2 * 56, 4096))
    for address, size in ((1, 4096), (64 + 2 * 56, 4097), (2**64 - 1, 4096)):
        data[at : at + 16] = struct.pack("<QQ", address, size)
        with pytest.raises(MalformedError, match="function"):
            read(bytes(data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ELF"),
        (b"\x7fELF", ""),
        (image(b""), "no AMDGPU metadata note"),
        (image(note(b"\x81\xa1x" + b"\x91" * 100_000)), "kernel metadata cannot be read"),
        (image(note(b"\xdf\xff\xff\xff\xff")), "kernel metadata cannot be read"),
        (image(note(metadata({".vgpr_count": 1}))), "kernel metadata cannot be read"),
        (image(note(metadata({".name": 1}))), "kernel metadata cannot be read"),
        (image(note(metadata({".name": "k", ".vgpr_count": "many"}))), "cannot be read"),
        (image(note(b"\x81\xaeamdhsa.kernels\x91\x81\xa5.name\xa1\xff")), "cannot be read"),
        (image(b"\x07\0\0\0\xff\xff\xff\xff\x20\0\0\0AMDGPU\0\0"), "a note"),
        (image(note(metadata(FULL)), flags=0xEB), "machine 0xeb is not known"),
        (image(note(metadata(FULL)))[:-1], ""),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read(data)
    assert why in str(caught.value)


WHOLE = image(
    note(metadata(FULL, FULL | {".name": "axpy"})), {"gemm": bytes(4096), "axpy": bytes(256)}
)
HOSTILE = settings(max_examples=300, deadline=2000)


@HOSTILE
@given(data=st.data())
def test_changed_bytes_are_refused_or_read(data: st.DataObject) -> None:
    changed = bytearray(WHOLE)
    for place in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=5)):
        changed[place] = data.draw(st.integers(0, 255))
    raises_or_reads(bytes(changed))


@HOSTILE
@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_off_image_is_refused(size: int) -> None:
    with pytest.raises(MalformedError):
        read(WHOLE[:size])


VALUES = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@HOSTILE
@given(st.dictionaries(st.sampled_from([*FULL, "x"]), VALUES, max_size=6))
def test_any_metadata_is_refused_or_read(kernel: dict[str, Any]) -> None:
    raises_or_reads(image(note(metadata(kernel))))


@HOSTILE
@given(st.binary(max_size=200))
def test_any_note_is_refused_or_read(text: bytes) -> None:
    raises_or_reads(image(note(text)))
    raises_or_reads(image(text))


def test_names_of_symbols_that_overlap_cost_no_time() -> None:
    """4,000 symbols name a text of 64 KB each: a few hundred KB that would be 256 MB to read."""
    texts = b"\0" + b"a" * 65536 + b"\0"
    rows = (struct.pack("<IBBHQQ", 1 + n, 2, 0, 1, 64, 0) for n in range(4000))
    sections = [(".note", 7, note(metadata(FULL | {".name": "a" * 65536})))]
    sections += [(".dynsym", 11, b"".join(rows)), (".dynstr", 3, texts)]
    hostile = elf_image(224, sections, GFX1151, bytes([64, V5]) + bytes(7), segments=[0])
    with pytest.raises(MalformedError, match="names of symbols overlap"):
        read(hostile)
