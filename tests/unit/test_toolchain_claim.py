"""The release that a pin names is held against what the toolchain's own files claim."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from strixforge.model.errors import GateError
from strixforge.model.policy import release_of
from strixforge.toolchain.claim import check_claim
from tests.unit.home import refusal
from tests.unit.therock import MANIFEST, Tree, classic, debian, header, therock, write


def claims(root: Path, tree: Tree, pinned: str) -> list[str]:
    return check_claim(write(root, tree), "rocm", pinned)


FITS: list[tuple[str, Tree]] = [
    ("6.4.4", classic()),
    ("7.2", classic("7.2.0", 43)),
    ("7.2.0", {".info/version": "7.2\n"}),
    ("6.4.4", {".info/version": "rocm-6.4.4"}),
    ("10.1.0", therock(package="10.1.0")),
    ("10.1.0", therock(package="")),
    ("10.1.0a20260813", therock()),
    ("10.1.0rc2", therock(package="10.1.0rc2")),
    ("5.7.1", debian()),
    ("6.4.3", debian(21, "6.4.43484")),
]


@pytest.mark.parametrize(("pinned", "tree"), FITS, ids=str)
def test_a_claim_that_is_the_pins_passes_without_a_word(
    tmp_path: Path, pinned: str, tree: Tree
) -> None:
    assert claims(tmp_path, tree, pinned) == []


REFUSED: list[tuple[str, Tree, str]] = [
    ("6.4.3", classic(), "6.4.4-129"),
    ("6.4", classic(), "6.4.4-129"),
    ("7.2.0", classic(), "6.4.4-129"),
    ("10.0.0", therock(), "10.1.0a20260813"),
    ("10.1.0a20260901", therock(), "10.1.0a20260813"),
    ("10.1.0rc1", therock(package="10.1.0rc2"), "10.1.0rc2"),
    ("10.1.0a20260813", therock("10.2.0", ""), "10.2.0"),
    ("5.6.1", debian(), "5.7.31921"),
    ("6.7.1", debian(), "5.7.31921"),
    ("6.4.4", {".info/version": "junk\n"}, "junk"),
    ("6.4.4", {".info/version": "\n"}, ""),
    ("7.0.0", {".info/version": "7\n"}, "7"),
]


@pytest.mark.parametrize(("pinned", "tree", "claimed"), REFUSED, ids=str)
def test_a_claim_of_another_release_is_refused_with_its_place(
    tmp_path: Path, pinned: str, tree: Tree, claimed: str
) -> None:
    with pytest.raises(GateError) as caught:
        claims(tmp_path, tree, pinned)
    assert caught.value.what == f"rocm is pinned as {pinned}, and says that it is {claimed}."
    assert caught.value.where.startswith(f"{tmp_path}/")


@pytest.mark.parametrize(
    "name",
    [".info/version", ".info/version-dev", "include/rocm-core/rocm_version.h", MANIFEST, "library"],
)
def test_one_place_that_claims_another_release_is_enough(tmp_path: Path, name: str) -> None:
    tree = therock(package="")
    other = {
        "include/rocm-core/rocm_version.h": header("ROCM", "10.2.0"),
        MANIFEST: json.dumps({"rocm_version": "10.2.0"}),
    }.get(name, "10.2.0\n")
    tree[name.replace("library", "lib/librocm-core.so.1.0.100200")] = other
    with pytest.raises(GateError, match=r"pinned as 10\.1\.0, and says that it is 10\.2\.0"):
        claims(tmp_path, tree, "10.1.0")


def test_hips_own_number_is_no_claim_where_rocm_tells_its_release(tmp_path: Path) -> None:
    assert claims(tmp_path, therock("10.0.0", "10.0.0", hip="7.15.26333"), "10.0.0") == []


def test_a_candidate_that_is_pinned_as_the_release_is_a_warning(tmp_path: Path) -> None:
    (warning,) = claims(tmp_path, therock(package="10.1.0rc2"), "10.1.0")
    assert warning.startswith("rocm 10.1.0 calls itself 10.1.0rc2 (")
    assert MANIFEST in warning


def test_a_nightly_that_shows_its_base_version_only_is_a_warning(tmp_path: Path) -> None:
    (warning,) = claims(tmp_path, therock(package=""), "10.1.0a20260813")
    assert warning == "rocm 10.1.0a20260813 does not say which build it is, only 10.1.0"


@pytest.mark.parametrize("tree", [{"bin/hipcc": ""}, {"lib/libamdhip64.so.7.16.26342": ""}])
def test_a_folder_that_says_nothing_is_refused_with_where_it_would_say_it(
    tmp_path: Path, tree: Tree
) -> None:
    with pytest.raises(GateError, match="rocm does not say which release it is") as caught:
        claims(tmp_path, tree, "10.1.0")
    assert str(tmp_path) in caught.value.where
    assert MANIFEST in caught.value.where


@given(
    st.text(max_size=20) | st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){0,3}(a|rc|-|\.dev|~)?[0-9]?"),
    st.sampled_from(["6.4.4", "10.1.0", "10.1.0a20260813"]),
)
def test_any_claim_passes_warns_or_is_refused(text: str, pinned: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder), {MANIFEST: json.dumps({"rocm_version": text})})
        if refusal(lambda: check_claim(root, "rocm", pinned), GateError) is None:
            assert release_of(text) == Version(Version(pinned).base_version)
            assert len(check_claim(root, "rocm", pinned)) <= 1
