"""A ROCm that is two in one is known by its signs; one of a piece has none."""

import json
from pathlib import Path

import pytest

from strixforge.toolchain.mixed import mixed
from tests.unit.therock import MANIFEST, Link, Tree, classic, debian, header, therock, write


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Return the root of a machine without a HIP of its distribution."""
    made = tmp_path / "host"
    (made / "usr/include").mkdir(parents=True)
    return made


CLEAN: list[Tree] = [
    therock(),
    therock(package=""),
    therock("10.0.0", "10.0.0", hip="7.15.26333"),
    classic(),
    classic("7.2.0", 43),
    classic() | {".info/version-dev": "6.4.4-129", ".info/version-utils": "6.4.4-129"},
    classic() | {"lib/librocblas.so.4": Link("librocblas.so.4.4.0"), "lib/librocblas.so.4.4.0": ""},
    {"bin/hipcc": ""},
]


@pytest.mark.parametrize("tree", CLEAN)
def test_a_rocm_of_one_piece_has_no_sign(tmp_path: Path, host: Path, tree: Tree) -> None:
    assert mixed(write(tmp_path / "opt/rocm", tree), host) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".info/version", "7.2.0-43\n"),
        (".info/version-dev", "7.2.0-43\n"),
        ("include/rocm-core/rocm_version.h", header("ROCM", "7.2.0")),
        ("lib/librocm-core.so.1.0.70200", ""),
        (MANIFEST, json.dumps({"rocm_version": "7.2.0"})),
    ],
)
def test_two_releases_show_themselves_with_both_places(
    tmp_path: Path, host: Path, name: str, text: str
) -> None:
    root = write(tmp_path / "rocm", classic() | {name: text})
    (sign,) = mixed(root, host)
    assert sign.startswith("two releases show themselves: ")
    assert "7.2.0" in sign
    assert "6.4.4" in sign
    assert f"{root}/{name}" in sign


def test_a_patch_release_over_another_is_of_one_piece(tmp_path: Path, host: Path) -> None:
    tree = classic() | {".info/version-dev": "6.4.3-120"}
    assert mixed(write(tmp_path / "rocm", tree), host) == []


@pytest.mark.parametrize("name", ["amdhip64", "hiprtc", "hipblas", "rocblas", "hipblaslt"])
def test_two_versions_of_a_library_are_named(tmp_path: Path, host: Path, name: str) -> None:
    tree = {f"lib/lib{name}.so.6.4.1": "", f"lib/lib{name}.so.7": Link(f"lib{name}.so.7.2.0")}
    (sign,) = mixed(write(tmp_path / "rocm", tree), host)
    assert sign.startswith(f"two versions of lib{name}: ")
    assert f"lib{name}.so.6.4.1" in sign
    assert f"lib{name}.so.7" in sign


def test_headers_of_one_hip_with_the_library_of_another_are_a_sign(
    tmp_path: Path, host: Path
) -> None:
    tree = classic() | {"include/hip/hip_version.h": header("HIP", "7.15.26333")}
    (sign,) = mixed(write(tmp_path / "rocm", tree), host)
    assert "the headers are of HIP 7.15.26333" in sign
    assert "the library is libamdhip64.so.6" in sign


def test_each_sign_is_told(tmp_path: Path, host: Path) -> None:
    tree = classic() | {
        ".info/version-dev": "7.2.0-43",
        "lib/libamdhip64.so.5": "",
        "lib/librocblas.so.4": "",
        "lib/librocblas.so.5": "",
        "include/hip/hip_version.h": header("HIP", "7.15.26333"),
    }
    write(host, {"usr/include/hip/hip_version.h": header("HIP", "5.7.31921")})
    assert len(mixed(write(tmp_path / "rocm", tree), host)) == 5


@pytest.mark.parametrize(
    "name",
    [
        *("usr/include/hip/hip_version.h", "usr/lib/x86_64-linux-gnu/libamdhip64.so.5"),
        *("usr/lib64/libamdhip64.so.6.3.42134", "usr/lib/libamdhip64.so.6"),
    ],
)
def test_a_distributions_hip_beside_it_is_a_sign(tmp_path: Path, host: Path, name: str) -> None:
    write(host, {name: ""})
    (sign,) = mixed(write(tmp_path / "rocm", therock()), host)
    assert sign == f"the distribution's HIP is installed beside it: {host / name}"


def test_a_distributions_hip_is_not_beside_itself(host: Path) -> None:
    write(host / "usr", debian())
    assert mixed(host / "usr", host) == []
    (host / "opt").mkdir()
    (host / "opt/rocm").symlink_to("../usr")
    assert mixed(host / "opt/rocm", host) == []
