"""Lengths and effects of gfx11 instructions: encodings as llvm-mc 21 writes them."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strixforge.audit.bodies import LONGEST_STUB, Body, classify
from strixforge.audit.bounds import MalformedError
from strixforge.audit.instructions import Effect, is_read, walk

# Disassembled from real kernels: the text, and the dwords.
KNOWN = {
    "s_endpgm": ([0xBFB00000], Effect.END),
    "s_trap 2": ([0xBF900002], Effect.TRAP),
    "s_nop 0": ([0xBF800000], Effect.NONE),
    "s_code_end": ([0xBF9F0000], Effect.NONE),
    "s_sendmsg sendmsg(MSG_INTERRUPT)": ([0xBFB60001], Effect.WRITE),
    "s_sendmsg sendmsg(MSG_DEALLOC_VGPRS)": ([0xBFB60003], Effect.NONE),
    "s_swappc_b64 s[30:31], s[2:3]": ([0xBE9E4902], Effect.CALL),
    "s_setpc_b64 s[30:31]": ([0xBE80481E], Effect.JUMP),
    "s_getpc_b64 s[2:3]": ([0xBE824700], Effect.NONE),
    "s_add_u32 s2, s2, 0xfffffef4": ([0x8002FF02, 0xFFFFFEF4], Effect.NONE),
    "s_addc_u32 s3, s3, -1": ([0x8203FF03, 0xFFFFFFFF], Effect.NONE),
    "s_cmp_ngt_f32 s4, 0x40400000": ([0xBF4BFF04, 0x40400000], Effect.NONE),
    "s_load_b64 s[0:1], s[0:1], null": ([0xF4040000, 0xF8000000], Effect.NONE),
    "v_mov_b32_e32 v31, v0": ([0x7E3E0300], Effect.NONE),
    "v_and_b32_e32 v16, 0xffff, v9": ([0x362012FF, 0x0000FFFF], Effect.NONE),
    "v_dual_mov_b32 v0, s0 :: v_dual_mov_b32 v1, s1": ([0xCA100000, 0x00000001], Effect.NONE),
    "v_dual_mov_b32 v16, s11 :: v_dual_and_b32 v15, 0xffff, v15": (
        [0xCA24000B, 0x100E1EFF, 0x0000FFFF],
        Effect.NONE,
    ),
    "v_mad_u64_u32 v[0:1], null, s2, s3, v[0:1]": ([0xD6FE7C00, 0x04000602], Effect.NONE),
    "v_bfe_u32 v14, v3, 8, 8": ([0xD610000E, 0x02211103], Effect.NONE),
    "global_load_b32 v2, v[0:1], off": ([0xDC520000, 0x027C0000], Effect.NONE),
    "global_store_b32 v[0:1], v2, off": ([0xDC6A0000, 0x007C0200], Effect.WRITE),
    "scratch_store_b32 off, v2, s32": ([0xDC690000, 0x00200200], Effect.NONE),
}


def code(*texts: str) -> memoryview:
    dwords = [one for text in texts for one in KNOWN[text][0]]
    return memoryview(struct.pack(f"<{len(dwords)}I", *dwords))


@pytest.mark.parametrize("text", KNOWN)
def test_each_is_as_long_as_it_is_written_and_does_what_it_says(text: str) -> None:
    after = "s_nop 0"
    assert list(walk(code(text, after))) == [
        (0, KNOWN[text][1]),
        (4 * len(KNOWN[text][0]), Effect.NONE),
    ]


def test_one_after_the_other() -> None:
    assert [effect for _, effect in walk(code(*KNOWN))] == [effect for _, effect in KNOWN.values()]


@pytest.mark.parametrize("text", [text for text, (dwords, _) in KNOWN.items() if len(dwords) > 1])
def test_one_that_is_cut_off_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="cut off"):
        list(walk(code(text)[:-4]))


def test_what_is_no_instruction_is_refused() -> None:
    with pytest.raises(MalformedError, match="no instruction begins with"):
        list(walk(memoryview(b"\xff" * 8)))


@settings(max_examples=500)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        places = [at for at, _ in walk(memoryview(data))]
    except MalformedError:
        return
    assert places == sorted(set(places))
    assert all(at % 4 == 0 and at < len(data) for at in places)


@pytest.mark.parametrize(
    ("texts", "body"),
    [
        (["global_store_b32 v[0:1], v2, off", "s_endpgm"], Body.WORKS),
        (["s_endpgm"], Body.ENDS),
        (["s_trap 2"], Body.FAILS),
        (["global_load_b32 v2, v[0:1], off", "s_endpgm"], Body.ENDS),
        (["scratch_store_b32 off, v2, s32", "s_endpgm"], Body.ENDS),
        (["s_swappc_b64 s[30:31], s[2:3]", "s_endpgm"], Body.WORKS),
        (["s_swappc_b64 s[30:31], s[2:3]"], Body.FAILS),
        (["s_setpc_b64 s[30:31]"], Body.WORKS),
        (["s_add_u32 s2, s2, 0xfffffef4"], Body.FAILS),
    ],
    ids=str,
)
def test_a_kernel_is_known_by_what_no_path_of_it_does(texts: list[str], body: Body) -> None:
    for target in ("gfx1151", "gfx1100", "gfx11-generic"):
        assert classify(code(*texts), target) is body


def test_other_targets_no_code_and_what_cannot_be_read_are_unread() -> None:
    assert classify(code("s_endpgm"), "gfx90a:xnack-") is Body.UNREAD
    assert classify(memoryview(b""), "gfx1151") is Body.UNREAD
    assert classify(memoryview(b"\xff" * 8), "gfx1151") is Body.UNREAD
    assert is_read("gfx1153")
    assert not is_read("gfx1200")


def test_a_long_body_is_no_stub() -> None:
    assert classify(code(*["s_nop 0"] * (LONGEST_STUB // 4)), "gfx1151") is Body.FAILS
    assert classify(code(*["s_nop 0"] * (LONGEST_STUB // 4 + 1)), "gfx1151") is Body.WORKS
