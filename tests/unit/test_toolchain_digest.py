"""The digest of an installed ROCm: each change shows, and what did not change is not read."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.toolchain.digest import toolchain_digest
from tests.unit.therock import Link, Program, bytes_read, classic, debian, next_tick, therock, write

LIBRARY = "lib/libamdhip64.so.7.16.26342"


@pytest.fixture
def rocm(tmp_path: Path) -> Path:
    return write(tmp_path / "rocm", therock())


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_it_is_the_same_when_nothing_changed_here_or_in_a_copy_elsewhere(
    rocm: Path, tmp_path: Path, kept: Path
) -> None:
    first = toolchain_digest(rocm, kept)
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert toolchain_digest(rocm, kept) == first
    assert toolchain_digest(rocm, tmp_path / "another cache") == first
    assert toolchain_digest(write(tmp_path / "elsewhere", therock()), kept) == first
    assert toolchain_digest(write(tmp_path / "other", classic()), kept) != first


def change_a_byte(root: Path) -> None:
    (root / LIBRARY).write_text("a_library\n")


def change_a_byte_and_set_the_time_back(root: Path) -> None:
    old = (root / LIBRARY).stat()
    with (root / LIBRARY).open("r+") as file:
        file.write("A")
    os.utime(root / LIBRARY, ns=(old.st_atime_ns, old.st_mtime_ns))


def put_another_file_in_its_place_with_its_size_and_time(root: Path) -> None:
    old = (root / LIBRARY).stat()
    (root / "new").write_text("a_library\n")
    os.utime(root / "new", ns=(old.st_atime_ns, old.st_mtime_ns))
    (root / "new").replace(root / LIBRARY)


def add_a_file(root: Path) -> None:
    (root / "include" / "new.h").write_text("")


def add_a_hidden_file(root: Path) -> None:
    (root / ".kpack" / "fft_lib_gfx1151.kpack").write_text("KPAK\n")


def add_a_link(root: Path) -> None:
    (root / "lib" / "new.so").symlink_to("nowhere")


def remove_a_file(root: Path) -> None:
    (root / "lib/cmake/hip/hip-config.cmake").unlink()


def rename_a_file(root: Path) -> None:
    (root / LIBRARY).rename(root / f"{LIBRARY}0")


def swap_two_files(root: Path) -> None:
    bitcode = root / "lib/llvm/amdgcn/bitcode"
    (bitcode / "ocml.bc").rename(bitcode / "x")
    (bitcode / "ockl.bc").rename(bitcode / "ocml.bc")
    (bitcode / "x").rename(bitcode / "ockl.bc")


def lead_a_link_elsewhere(root: Path) -> None:
    (root / "lib/libamdhip64.so").unlink()
    (root / "lib/libamdhip64.so").symlink_to(Path(LIBRARY).name)


def lead_a_link_to_a_folder_elsewhere(root: Path) -> None:
    (root / "llvm").unlink()
    (root / "llvm").symlink_to("./lib/llvm")


def make_a_link_a_copy(root: Path) -> None:
    (root / "lib/libamdhip64.so").unlink()
    shutil.copy2(root / LIBRARY, root / "lib/libamdhip64.so")


def forbid_running_a_program(root: Path) -> None:
    (root / "bin/hipcc").chmod(0o644)


def allow_running_a_file(root: Path) -> None:
    (root / LIBRARY).chmod(0o755)


CHANGES = [
    *(change_a_byte, change_a_byte_and_set_the_time_back),
    *(put_another_file_in_its_place_with_its_size_and_time,),
    *(add_a_file, add_a_hidden_file, add_a_link, remove_a_file, rename_a_file, swap_two_files),
    *(lead_a_link_elsewhere, lead_a_link_to_a_folder_elsewhere, make_a_link_a_copy),
    *(forbid_running_a_program, allow_running_a_file),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: str(one.__name__))
def test_a_change_shows(rocm: Path, kept: Path, change: Callable[[Path], None]) -> None:
    first = toolchain_digest(rocm, kept)
    next_tick()
    change(rocm)
    second = toolchain_digest(rocm, kept)
    assert second != first
    assert toolchain_digest(rocm, kept) == second
    shutil.rmtree(kept)
    assert toolchain_digest(rocm, kept) == second


@pytest.mark.parametrize(
    "name",
    [
        *("share/doc/hip/README.md", "share/man/man1/x.1", "share/html/x.html", "clients/x"),
        *("lib/llvm/share/doc/x", "share/rocblas/tests/x", "share/hip/samples/x"),
    ],
)
def test_what_no_build_reads_does_not_count(rocm: Path, kept: Path, name: str) -> None:
    first = toolchain_digest(rocm, kept)
    write(rocm, {name: "text\n"})
    assert toolchain_digest(rocm, kept) == first


def test_who_may_read_a_file_does_not_count(rocm: Path, kept: Path) -> None:
    first = toolchain_digest(rocm, kept)
    (rocm / LIBRARY).chmod(0o600)
    (rocm / "bin/hipcc").chmod(0o700)
    assert toolchain_digest(rocm, kept) == first


def test_files_that_did_not_change_are_not_read_again(rocm: Path, kept: Path) -> None:
    size = 8 << 20
    large = [rocm / "lib" / f"lib{number}.so" for number in range(2)]
    for path in large:
        path.write_bytes(bytes(size))
    reads = []
    for _ in range(3):
        before = bytes_read()
        toolchain_digest(rocm, kept)
        reads.append(bytes_read() - before)
        if len(reads) == 2:
            next_tick()
            large[0].write_bytes(bytes(size - 1) + b"1")
    assert reads[0] >= 2 * size
    assert reads[1] < size // 8
    assert size <= reads[2] < size + size // 8


def test_a_touched_file_is_read_again_and_comes_out_the_same(rocm: Path, kept: Path) -> None:
    first = toolchain_digest(rocm, kept)
    (rocm / LIBRARY).touch()
    assert toolchain_digest(rocm, kept) == first


@pytest.mark.parametrize(
    "damage",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"bin/hipcc": 5}'),
        *(b'{"bin/hipcc": []}', b'{"bin/hipcc": [1, 2, 3, 4, 5, null]}'),
    ],
    ids=lambda one: repr(one[:24]),
)
def test_a_damaged_cache_costs_time_alone(rocm: Path, kept: Path, damage: bytes) -> None:
    first = toolchain_digest(rocm, kept)
    (file,) = kept.glob("toolchains/*.json")
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert toolchain_digest(rocm, kept) == first
    assert json.loads(file.read_bytes()) == json.loads(whole)


def test_a_hash_that_is_cut_off_in_the_cache_is_made_anew(rocm: Path, kept: Path) -> None:
    first = toolchain_digest(rocm, kept)
    (file,) = kept.glob("toolchains/*.json")
    entries = json.loads(file.read_bytes())
    entries[LIBRARY][-1] = entries[LIBRARY][-1][:20]
    file.write_text(json.dumps(entries))
    assert toolchain_digest(rocm, kept) == first


def test_many_at_once_find_the_same_and_leave_one_whole_cache(rocm: Path, kept: Path) -> None:
    write(rocm, {f"include/{one}.h": f"{one}\n" for one in range(200)})
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: toolchain_digest(rocm, kept), range(24)))
    assert len(found) == 1
    (file,) = kept.glob("toolchains/*")
    entries = json.loads(file.read_bytes())
    assert {f"include/{one}.h" for one in range(200)} < entries.keys()


def test_two_toolchains_do_not_share_what_is_kept_of_their_files(tmp_path: Path) -> None:
    roots = [write(tmp_path / one, therock()) for one in ("a", "b")]
    first = toolchain_digest(roots[0], tmp_path / "cache")
    next_tick()
    change_a_byte(roots[1])
    assert toolchain_digest(roots[1], tmp_path / "cache") != first
    assert toolchain_digest(roots[0], tmp_path / "cache") == first


def test_pipes_and_links_in_circles_end(rocm: Path, kept: Path) -> None:
    first = toolchain_digest(rocm, kept)
    os.mkfifo(rocm / "lib/pipe")
    assert toolchain_digest(rocm, kept) == first
    (rocm / "lib/loop").symlink_to("loop")
    (rocm / "lib/up").symlink_to("..")
    assert toolchain_digest(rocm, kept) != first


def test_names_that_are_no_text_are_names(rocm: Path, kept: Path) -> None:
    first = toolchain_digest(rocm, kept)
    Path(os.fsdecode(os.fsencode(rocm) + b"/lib/\xff\xfe")).write_text("x")
    second = toolchain_digest(rocm, kept)
    assert second != first
    assert toolchain_digest(rocm, kept) == second


def test_a_link_to_the_toolchain_is_the_toolchain(rocm: Path, tmp_path: Path, kept: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(rocm)
    assert toolchain_digest(link, kept) == toolchain_digest(rocm, kept)


def test_of_a_distribution_only_what_is_hips_and_llvms_counts(tmp_path: Path, kept: Path) -> None:
    usr = write(tmp_path / "usr", debian())
    first = toolchain_digest(usr, kept)
    write(usr, {"bin/vim": Program(""), "lib/x86_64-linux-gnu/libfoo.so": "", "share/x": "x"})
    assert toolchain_digest(usr, kept) == first
    digests = [first]
    for name in (
        *("bin/hipconfig", "lib/llvm-17/bin/lld", "include/hip/new.h", "include/rocprim/x.hpp"),
        *("lib/x86_64-linux-gnu/libhsa-runtime64.so.1", "lib/x86_64-linux-gnu/cmake/hip/x.cmake"),
        *("lib/x86_64-linux-gnu/cmake/rocprim/x.cmake", "lib/llvm-17/lib/clang/17/amdgcn/x.bc"),
    ):
        write(usr, {name: "x\n"})
        digests.append(toolchain_digest(usr, kept))
    write(usr, {"lib/x86_64-linux-gnu/libamdhip64.so": Link("libamdhip64.so.5")})
    digests.append(toolchain_digest(usr, kept))
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("name", ["local", "rocm", "usr-2"])
def test_a_whole_rocm_counts_whatever_its_folder_is_called(
    tmp_path: Path, kept: Path, name: str
) -> None:
    root = write(tmp_path / name, therock())
    first = toolchain_digest(root, kept)
    write(root, {"lib/librocblas.so.5": "x"})
    assert toolchain_digest(root, kept) != first


FILES = st.dictionaries(st.sampled_from(["a", "b", "doc"]), st.sampled_from([b"", b"x"]))


@given(FILES, FILES)
def test_two_folders_have_one_digest_exactly_when_they_hold_the_same(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        digests = []
        for number, files in enumerate((one, other)):
            root = Path(folder, str(number))
            root.mkdir()
            for name, content in files.items():
                (root / name).write_bytes(content)
            digests.append(toolchain_digest(root, Path(folder, "cache")))
    assert (digests[0] == digests[1]) == (one == other)
