"""Where the parts of a ROCm are found, in each layout that there is."""

from dataclasses import fields
from pathlib import Path

import pytest

from strixforge.model.errors import GateError
from strixforge.toolchain.claim import check_targets
from strixforge.toolchain.facts import Facts, find_facts
from tests.unit.therock import Link, Program, below, bitcode, classic, debian, therock, write


def without(tree: dict[str, str], *starts: str) -> dict[str, str]:
    return {name: text for name, text in tree.items() if not name.startswith(starts)}


def test_a_distribution_of_therock_has_all_of_its_compiler_in_lib_llvm(tmp_path: Path) -> None:
    assert find_facts(write(tmp_path, therock()), "/opt/rocm") == Facts(
        prefix="/opt/rocm",
        release="10.1.0a20260813",
        hip_version="7.16.26342",
        clang_version="23.0.0",
        llvm="/opt/rocm/lib/llvm",
        clang="/opt/rocm/lib/llvm/bin/clang++",
        bitcode="/opt/rocm/lib/llvm/amdgcn/bitcode",
        libraries="/opt/rocm/lib",
        cmake="/opt/rocm/lib/cmake",
        targets=("gfx1150", "gfx1151", "gfx1200"),
    )


def test_amds_packages_have_the_bitcode_beside_the_compiler(tmp_path: Path) -> None:
    assert find_facts(write(tmp_path, classic()), "/opt/rocm") == Facts(
        prefix="/opt/rocm",
        release="6.4.4-129",
        hip_version="6.4.43484",
        clang_version="19.0.0",
        llvm="/opt/rocm/lib/llvm",
        clang="/opt/rocm/lib/llvm/bin/clang++",
        bitcode="/opt/rocm/amdgcn/bitcode",
        libraries="/opt/rocm/lib",
        cmake="/opt/rocm/lib/cmake",
        targets=("gfx1100", "gfx1151"),
    )


def test_debian_has_one_llvm_a_version_with_the_bitcode_among_its_files(tmp_path: Path) -> None:
    assert find_facts(write(tmp_path, debian()), "/usr") == Facts(
        prefix="/usr",
        release="",
        hip_version="5.7.31921",
        clang_version="17",
        llvm="/usr/lib/llvm-17",
        clang="/usr/lib/llvm-17/bin/clang++",
        bitcode="/usr/lib/llvm-17/lib/clang/17/amdgcn/bitcode",
        libraries="/usr/lib/x86_64-linux-gnu",
        cmake="/usr/lib/x86_64-linux-gnu/cmake",
        targets=("gfx1030", "gfx1151"),
    )


def test_of_several_llvms_the_one_with_the_bitcode_is_the_toolchains(tmp_path: Path) -> None:
    tree = debian(17)
    for other in (9, 16, 19, 21):
        tree[f"lib/llvm-{other}/bin/clang++"] = Program("")
        tree[f"lib/llvm-{other}/lib/clang/{other}/include/stddef.h"] = ""
    found = find_facts(write(tmp_path, tree), "/usr")
    assert found.llvm == "/usr/lib/llvm-17"
    assert found.clang == "/usr/lib/llvm-17/bin/clang++"
    assert found.clang_version == "17"


def test_of_several_llvms_with_bitcode_the_newest_by_number_is_taken(tmp_path: Path) -> None:
    found = find_facts(write(tmp_path, debian(9) | debian(17) | debian(100)), "/usr")
    assert found.llvm == "/usr/lib/llvm-100"
    assert found.bitcode.startswith("/usr/lib/llvm-100/")


def test_of_several_llvms_without_bitcode_the_newest_is_taken(tmp_path: Path) -> None:
    tree = {f"lib/llvm-{one}/bin/clang++": Program("") for one in (9, 18, 17)}
    found = find_facts(write(tmp_path, tree), "/usr")
    assert (found.llvm, found.bitcode, found.targets) == ("/usr/lib/llvm-18", "", ())


def test_a_therock_without_lib_llvm_has_no_compiler_and_no_bitcode(tmp_path: Path) -> None:
    found = find_facts(write(tmp_path, without(therock(), "lib/llvm", "llvm")), "/opt/rocm")
    assert found.texts() == {
        "prefix": "/opt/rocm",
        "release": "10.1.0a20260813",
        "hip_version": "7.16.26342",
        "libraries": "/opt/rocm/lib",
        "cmake": "/opt/rocm/lib/cmake",
    }
    assert found.targets == ()


def test_a_dead_link_to_llvm_is_no_llvm(tmp_path: Path) -> None:
    found = find_facts(write(tmp_path, without(therock(), "lib/llvm")), "/opt/rocm")
    assert (found.llvm, found.clang, found.bitcode) == ("", "", "")


def test_an_llvm_folder_beside_lib_is_found_where_lib_llvm_is_not_there(tmp_path: Path) -> None:
    tree = {f"{name[4:]}": text for name, text in therock().items() if name.startswith("lib/llvm/")}
    found = find_facts(write(tmp_path, tree), "/opt/rocm")
    assert found.clang == "/opt/rocm/llvm/bin/clang++"
    assert found.bitcode == "/opt/rocm/llvm/amdgcn/bitcode"


def test_the_bitcode_of_the_compiler_goes_before_another_copy(tmp_path: Path) -> None:
    tree = therock() | below("amdgcn/bitcode", bitcode("gfx803"))
    found = find_facts(write(tmp_path, tree), "/opt/rocm")
    assert found.bitcode == "/opt/rocm/lib/llvm/amdgcn/bitcode"
    assert "gfx803" not in found.targets


def test_a_bitcode_folder_that_is_a_link_is_named_as_it_is_written(tmp_path: Path) -> None:
    tree = classic() | {"lib/llvm/amdgcn": Link("../../amdgcn")}
    found = find_facts(write(tmp_path, tree), "/opt/rocm")
    assert found.bitcode == "/opt/rocm/lib/llvm/amdgcn/bitcode"
    assert found.targets == ("gfx1100", "gfx1151")


def test_a_folder_without_the_math_library_is_no_bitcode(tmp_path: Path) -> None:
    tree = without(therock(), "lib/llvm/amdgcn/bitcode/ocml.bc")
    assert find_facts(write(tmp_path, tree), "/opt/rocm").bitcode == ""


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("oclc_isa_version_90a.bc", "gfx90a"),
        ("oclc_isa_version_942.bc", "gfx942"),
        ("oclc_isa_version_11-generic.bc", "gfx11-generic"),
        ("oclc_isa_version_9-4-generic.bc", "gfx9-4-generic"),
    ],
)
def test_targets_are_named_as_llvm_names_them(tmp_path: Path, name: str, target: str) -> None:
    write(tmp_path, below("amdgcn/bitcode", {**bitcode(), name: "BC"}))
    assert find_facts(tmp_path, "/opt/rocm").targets == (target,)


@pytest.mark.parametrize(
    "name", ["oclc_abi_version_500.bc", "oclc_isa_version_1151.bc.orig", "oclc_isa_version_.bc"]
)
def test_other_files_of_the_bitcode_are_no_targets(tmp_path: Path, name: str) -> None:
    write(tmp_path, below("amdgcn/bitcode", {**bitcode("gfx942"), name: "BC"}))
    assert find_facts(tmp_path, "/opt/rocm").targets == ("gfx942",)


def test_cmake_packages_are_where_hips_are(tmp_path: Path) -> None:
    tree = debian() | {"lib/cmake/fmt/fmt-config.cmake": "\n"}
    assert find_facts(write(tmp_path, tree), "/usr").cmake == "/usr/lib/x86_64-linux-gnu/cmake"


def test_nothing_is_known_of_an_empty_folder(tmp_path: Path) -> None:
    assert find_facts(tmp_path, "/opt/rocm").texts() == {"prefix": "/opt/rocm"}
    assert find_facts(tmp_path / "missing", "/opt/rocm").texts() == {"prefix": "/opt/rocm"}


def test_every_fact_but_the_list_can_be_named_by_recipes(tmp_path: Path) -> None:
    texts = find_facts(write(tmp_path, therock()), "/opt/rocm").texts()
    assert texts.keys() == {one.name for one in fields(Facts)} - {"targets"}


def test_a_toolchain_that_does_not_know_the_gpu_is_refused_with_what_it_knows(
    tmp_path: Path,
) -> None:
    old = find_facts(write(tmp_path, therock(targets=("gfx1100", "gfx942"))), "/opt/rocm")
    with pytest.raises(GateError, match="rocm cannot build for gfx1151") as caught:
        check_targets(old, "rocm", "gfx1151")
    assert caught.value.where == "/opt/rocm/lib/llvm/amdgcn/bitcode: gfx1100, gfx942"
    check_targets(old, "rocm", "gfx1100")


def test_a_toolchain_that_has_no_bitcode_says_nothing_of_gpus(tmp_path: Path) -> None:
    check_targets(find_facts(write(tmp_path, {"bin/hipcc": ""}), "/opt/rocm"), "rocm", "gfx1151")
