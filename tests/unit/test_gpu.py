"""GPUs as the kernel shows them: a made tree of sysfs stands for the hardware."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.host.gpu import Gpu, Gpus, find_gpus

STRIX_HALO = {"simd_count": 80, "gfx_target_version": 110501, "cwsr_size": 17616896}
CPU = {"cpu_cores_count": 32, "simd_count": 0, "gfx_target_version": 0}


def node(sysfs: Path, number: int, properties: dict[str, int]) -> Path:
    """Write one node of KFD's topology; returns its file of properties."""
    file = sysfs / f"class/kfd/kfd/topology/nodes/{number}/properties"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"{name} {value}\n" for name, value in properties.items()))
    return file


def firmware(sysfs: Path, card: str, text: str) -> None:
    file = sysfs / f"class/drm/{card}/device/fw_version/mes_fw_version"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_a_strix_halo_is_found_beside_its_cpu_with_all_that_kfd_tells(tmp_path: Path) -> None:
    node(tmp_path, 0, CPU)
    node(tmp_path, 1, STRIX_HALO)
    assert find_gpus(tmp_path) == Gpus((Gpu("gfx1151", STRIX_HALO),), frozenset())


def test_an_older_kernel_does_not_tell_the_size_of_the_save_area(tmp_path: Path) -> None:
    node(tmp_path, 1, {"gfx_target_version": 110501})
    gpu = find_gpus(tmp_path).of("gfx1151")
    assert gpu is not None
    assert "cwsr_size" not in gpu.properties


def test_a_machine_without_kfd_has_no_gpu(tmp_path: Path) -> None:
    assert find_gpus(tmp_path) == find_gpus(tmp_path / "missing") == Gpus((), frozenset())


def test_a_cpu_is_no_gpu(tmp_path: Path) -> None:
    node(tmp_path, 0, CPU)
    assert find_gpus(tmp_path).gpus == ()


def test_of_several_gpus_each_is_found_by_its_target(tmp_path: Path) -> None:
    for number, version in enumerate((0, 110501, 120001, 110501)):
        node(tmp_path, number, {"gfx_target_version": version, "unique_id": number})
    gpus = find_gpus(tmp_path)
    assert [gpu.target for gpu in gpus.gpus] == ["gfx1151", "gfx1201", "gfx1151"]
    first = gpus.of("gfx1151")
    assert first is not None
    assert first.properties["unique_id"] == 1
    assert gpus.of("gfx942") is None


@pytest.mark.parametrize(
    ("version", "target"),
    [
        (80003, "gfx803"),
        (90010, "gfx90a"),
        (90012, "gfx90c"),
        (90402, "gfx942"),
        (90500, "gfx950"),
        (100100, "gfx1010"),
        (100306, "gfx1036"),
        (110501, "gfx1151"),
        (120001, "gfx1201"),
    ],
)
def test_targets_are_named_as_llvm_names_them(tmp_path: Path, version: int, target: str) -> None:
    node(tmp_path, 0, {"gfx_target_version": version})
    assert [gpu.target for gpu in find_gpus(tmp_path).gpus] == [target]


@pytest.mark.parametrize(
    "line",
    [
        *("", "cwsr_size", "cwsr_size 1 2", "cwsr_size many", "cwsr_size 0x", "cwsr_size 1.5"),
        *("\0\0\0", "cwsr_size \N{SUPERSCRIPT TWO}", "cwsr_size " + "9" * 5000),
    ],
)
def test_a_line_that_is_no_name_and_number_tells_nothing(tmp_path: Path, line: str) -> None:
    file = node(tmp_path, 1, {})
    file.write_text(f"{line}\ngfx_target_version 110501\n{line}\n")
    assert find_gpus(tmp_path).gpus == (Gpu("gfx1151", {"gfx_target_version": 110501}),)


@pytest.mark.parametrize("text", ["gfx_target_version -1\n", "gfx_target_version gfx1151\n", ""])
def test_a_node_without_a_target_is_no_gpu(tmp_path: Path, text: str) -> None:
    node(tmp_path, 1, {}).write_text(text)
    assert find_gpus(tmp_path).gpus == ()


def test_a_node_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    unreadable = node(tmp_path, 0, {})
    unreadable.unlink()
    unreadable.mkdir()  # as root reads any file
    node(tmp_path, 1, STRIX_HALO)
    node(tmp_path, 2, {}).unlink()
    firmware(tmp_path, "card0", "0x83")
    (tmp_path / "class/drm/card1/device/fw_version/mes_fw_version").mkdir(parents=True)
    found = find_gpus(tmp_path)
    assert [gpu.target for gpu in found.gpus] == ["gfx1151"]
    assert found.mes_firmware == {0x83}


def test_the_firmware_of_each_card_is_read(tmp_path: Path) -> None:
    firmware(tmp_path, "card0", "0x00000083\n")
    firmware(tmp_path, "card1", "0x00000080\n")
    firmware(tmp_path, "card2", "0x00000083\n")
    assert find_gpus(tmp_path).mes_firmware == {0x83, 0x80}


@pytest.mark.parametrize("text", ["", "\n", "none\n", "0x\n", "0xzz", "\xff"])
def test_firmware_that_does_not_tell_its_version_is_left_out(tmp_path: Path, text: str) -> None:
    firmware(tmp_path, "card1", text)
    assert find_gpus(tmp_path).mes_firmware == frozenset()


@given(st.binary(max_size=60))
def test_whatever_sysfs_holds_is_read_without_an_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sysfs = Path(folder)
        node(sysfs, 0, {}).write_bytes(content)
        node(sysfs, 1, STRIX_HALO)
        firmware(sysfs, "card1", "")
        (sysfs / "class/drm/card1/device/fw_version/mes_fw_version").write_bytes(content)
        found = find_gpus(sysfs)
    assert found.of("gfx1151") is not None
    assert all(gpu.target.startswith("gfx") for gpu in found.gpus)


@given(st.integers(7, 20), st.integers(0, 15), st.integers(0, 15))
def test_a_target_is_read_back(major: int, minor: int, step: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        version = major * 10000 + minor * 100 + step
        node(Path(folder), 0, {"gfx_target_version": version})
        (gpu,) = find_gpus(Path(folder)).gpus
    assert gpu.target == f"gfx{major}{minor:x}{step:x}"
