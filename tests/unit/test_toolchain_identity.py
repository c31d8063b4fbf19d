"""What a ROCm folder shows of its release, place by place; what cannot be read is refused."""

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import PolicyError
from strixforge.toolchain.identity import release, unpacked, versions
from tests.unit.home import refusal
from tests.unit.therock import MANIFEST, Link, classic, debian, header, packed, therock, write


def shown(root: Path) -> dict[str, tuple[str, str]]:
    """Return product and version by the place below `root` that shows them."""
    return {
        one.place.removeprefix(f"{root}/"): (one.product, one.version) for one in versions(root)
    }


@pytest.mark.parametrize(
    ("place", "text", "product", "version"),
    [
        (".info/version", "6.4.4-129\n", "rocm", "6.4.4-129"),
        (".info/version", "\ufeff10.1.0\r\n", "rocm", "10.1.0"),
        (".info/version-dev", "6.4.4-129", "rocm", "6.4.4-129"),
        (".info/version-hip-libraries", "7.2.0-43", "rocm", "7.2.0-43"),
        ("include/rocm-core/rocm_version.h", header("ROCM", "7.2.1"), "rocm", "7.2.1"),
        ("include/rocm_version.h", header("ROCM", "5.4.3"), "rocm", "5.4.3"),
        ("include/hip/hip_version.h", header("HIP", "7.15.26333"), "hip", "7.15.26333"),
        ("lib/libamdhip64.so.6.4.60404", "", "rocm", "6.4.4"),
        ("lib/librocm-core.so.1.0.60404", "", "rocm", "6.4.4"),
        ("lib/librocm-core.so.1.0.100100", "", "rocm", "10.1.0"),
    ],
)
def test_each_place_shows_its_version_alone(
    tmp_path: Path, place: str, text: str, product: str, version: str
) -> None:
    assert shown(write(tmp_path, {place: text})) == {place: (product, version)}


@pytest.mark.parametrize("place", [MANIFEST, "therock_manifest.json", ".info/version.json"])
@pytest.mark.parametrize("key", ["rocm_version", "rocm_package_version", "version"])
def test_json_shows_each_version_with_its_key(tmp_path: Path, place: str, key: str) -> None:
    write(tmp_path, {place: json.dumps({key: "10.1.0a20260813", "flags": {"a": 1}})})
    product = "therock" if "therock" in place else "rocm"
    assert shown(tmp_path) == {f"{place}: {key}": (product, "10.1.0a20260813")}


def test_the_release_is_what_therocks_manifest_says_with_its_date(tmp_path: Path) -> None:
    assert release(write(tmp_path / "new", therock())) == "10.1.0a20260813"
    assert release(write(tmp_path / "old", therock(package=""))) == "10.1.0"
    assert release(write(tmp_path / "amd", classic())) == "6.4.4-129"


def test_hips_number_is_no_release_of_rocm(tmp_path: Path) -> None:
    root = write(tmp_path, debian())
    assert shown(root) == {"include/hip/hip_version.h": ("hip", "5.7.31921")}
    assert release(root) == ""


def test_therocks_count_in_a_library_name_is_not_taken_for_rocm_2_63_42(tmp_path: Path) -> None:
    tree = therock()
    assert "lib/libamdhip64.so.7.16.26342" in tree
    found = shown(write(tmp_path, tree))
    assert not [place for place in found if "libamdhip64" in place]
    assert {version for product, version in found.values() if product != "hip"} == {
        "10.1.0",
        "10.1.0a20260813",
    }


def test_debians_count_in_a_library_name_is_no_release(tmp_path: Path) -> None:
    assert versions(write(tmp_path, {"lib/libamdhip64.so.6.4.43484": ""})) == []


@pytest.mark.parametrize(
    "name",
    [
        *("lib/libamdhip64.so.6", "lib/libamdhip64.so.6.4.60404.bak", "lib/libamdhip64.so.6.3.604"),
        *("lib/librocm-core.so.1", "lib/libamdhip64.so.6.4.604041234", "lib/xlibamdhip64.so.6.4"),
    ],
)
def test_library_names_of_another_form_show_nothing(tmp_path: Path, name: str) -> None:
    assert versions(write(tmp_path, {name: ""})) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#define ROCM_VERSION_MAJOR 6\n#define ROCM_VERSION_MINOR 4\n",
        "#define ROCM_VERSION_MAJOR @MAJOR@\n#define ROCM_VERSION_MINOR 4\n",
        "/* ROCM_VERSION_MAJOR 6, ROCM_VERSION_MINOR 4, ROCM_VERSION_PATCH 4 */",
        "#define ROCM_VERSION_MAJOR " + "9" * 5000,
    ],
)
def test_a_header_without_three_numbers_shows_nothing(tmp_path: Path, text: str) -> None:
    assert versions(write(tmp_path, {"include/rocm-core/rocm_version.h": text})) == []


def test_a_folder_with_nothing_of_rocm_shows_nothing(tmp_path: Path) -> None:
    assert versions(tmp_path) == []
    assert versions(tmp_path / "missing") == []
    assert versions(write(tmp_path, {"bin/hipcc": "", "lib/libfoo.so.1.2.60404": ""})) == []


@pytest.mark.parametrize(
    "place",
    [MANIFEST, ".info/version", "include/rocm-core/rocm_version.h", "include/hip/hip_version.h"],
)
def test_a_place_that_cannot_be_read_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    with pytest.raises(PolicyError, match="cannot be read: Is a directory") as caught:
        versions(tmp_path)
    assert caught.value.where == str(tmp_path / place)


@pytest.mark.parametrize(
    "place",
    [MANIFEST, ".info/version", "include/rocm-core/rocm_version.h", "include/hip/hip_version.h"],
)
def test_a_place_that_is_a_dead_link_is_refused(tmp_path: Path, place: str) -> None:
    write(tmp_path, {place: Link("gone")})
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        versions(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "nonsense", "[" * 100_000, '{"rocm_version": "7.0', "1e"]
)
def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyError, match="it is not JSON") as caught:
        versions(write(tmp_path, {MANIFEST: text}))
    assert caught.value.where == str(tmp_path / MANIFEST)


def test_a_manifest_with_other_things_in_it_shows_nothing_more(tmp_path: Path) -> None:
    odd = {"rocm_version": 7, "version": None, "x": "7.0.1", "flags": {"rocm_version": "7.0.1"}}
    contents: list[Any] = [[], 5, None, "7.0.1", odd]
    for number, content in enumerate(contents):
        assert versions(write(tmp_path / str(number), {MANIFEST: json.dumps(content)})) == []


def test_a_huge_manifest_is_refused_instead_of_read(tmp_path: Path) -> None:
    padded = json.dumps({"padding": " " * (2 << 20), "rocm_version": "10.1.0"})
    with pytest.raises(PolicyError, match="it is not JSON"):
        versions(write(tmp_path, {MANIFEST: padded}))


def test_a_file_without_an_end_is_read_to_a_bound(tmp_path: Path) -> None:
    info = write(tmp_path, {".info/version-dev": "6.4.4" + "x" * (2 << 20)})
    assert [one.version for one in versions(info)] == ["6.4.4" + "x" * 95]
    write(tmp_path, {".info/version": Link("/dev/zero")})
    assert len(versions(tmp_path)) == 2


def test_a_name_that_is_too_long_is_no_traceback() -> None:
    assert versions(Path("/" + "a" * 300)) == []


@given(st.binary(max_size=80))
def test_whatever_a_file_holds_it_is_a_version_or_a_refusal(content: bytes) -> None:
    for place in (MANIFEST, ".info/version", "include/rocm-core/rocm_version.h"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, place)
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            refused = refusal(partial(versions, Path(folder)), PolicyError)
            assert refused is None or place == MANIFEST  # only JSON has a form to miss
            if refused is None:
                lengths = [len(one.version) for one in versions(Path(folder))]
                assert place != ".info/version" or len(lengths) == 1
                assert max(lengths, default=0) <= 100


@given(st.integers(1, 99), st.integers(0, 99), st.integers(0, 99))
def test_a_packed_number_is_read_back(major: int, minor: int, patch: int) -> None:
    assert unpacked(packed(f"{major}.{minor}.{patch}")) == f"{major}.{minor}.{patch}"
