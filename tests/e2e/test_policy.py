"""ROCm 7.0.1 gets in by no way; what is not 7.0.1 is left alone."""

import hashlib
from pathlib import Path

import pytest

from tests.e2e.project import Project

SPELLINGS = ["7.0.1", "7.0.1-42", "7.0.1rc20250901", "7.0.1.dev0+abc", "rocm-7.0.1"]


@pytest.fixture
def rocm(project: Project) -> Project:
    """Return a project with a toolchain that is called rocm."""
    project.add(
        "rocm",
        "mkdir {{ out }}/.info",
        "cp version {{ out }}/.info/version",
        files={"version": "6.4.4-129\n"},
        output="toolchain",
        version="6.4.4",
    )
    return project


@pytest.mark.parametrize("version", SPELLINGS)
def test_the_command_line_cannot_ask_for_it(rocm: Project, version: str) -> None:
    text = rocm.doit(f"rocm={version}", "build_rocm").check(12, "Refused by policy", "policy.toml")
    assert "rule rocm-7.0.1" in text
    assert "source: " in text
    assert not rocm.files()


@pytest.mark.parametrize("version", SPELLINGS[:2])
def test_the_environment_cannot_ask_for_it(rocm: Project, version: str) -> None:
    rocm.doit("build_rocm", env={"STRIXFORGE_ROCM": version}).check(12, "rule rocm-7.0.1")
    assert not rocm.files()


@pytest.mark.parametrize("version", ["7.0.1", "7.0.1rc20250901", "7.0.1.dev0+abc"])
def test_the_lock_cannot_pin_it(rocm: Project, version: str) -> None:
    rocm.add("rocm", output="toolchain", version=version)
    rocm.doit("build_rocm").check(12, "toolchain.lock: pin of rocm")
    assert not rocm.files()


@pytest.mark.parametrize("path", ["rocm-7.0.1/sdk.tar.gz", "rocm/apt/7.0.1/sdk.tar.gz"])
def test_no_address_can_carry_it(rocm: Project, path: str) -> None:
    pin = {"source": "archive", "url": f"http://127.0.0.1:9/{path}", "sha256": "0" * 64}
    rocm.add("sdk", pin=pin)
    rocm.doit("build_rocm").check(12, "pin of sdk", "7.0.1")
    assert not rocm.files()


def test_rocm_path_cannot_point_at_it(rocm: Project, tmp_path: Path) -> None:
    info = tmp_path / "some-rocm" / ".info" / "version"
    info.parent.mkdir(parents=True)
    info.write_text("7.0.1-42\n")
    rocm.doit("build_rocm", env={"ROCM_PATH": str(info.parents[1])}).check(12, str(info))
    assert not rocm.files()


def test_other_releases_are_not_refused(rocm: Project) -> None:
    rocm.doit("rocm=6.4.4", "build_rocm").check(0)
    for unpinned in ("7.0.2", "7.0.10", "7.1.1", "6.7.0.1"):
        rocm.doit(f"rocm={unpinned}", "build_rocm").check(11, f"no pin of rocm {unpinned}")
    rocm.components["rocm"].version = "7.0.2"
    rocm.components["rocm"].files = {"version": "7.0.2-1\n"}
    rocm.write()
    rocm.doit("rocm=7.0.2", "build_rocm").check(0)


def test_another_components_7_0_1_is_none_of_its_business(project: Project) -> None:
    project.add("working", version="7.0.1")
    project.doit("working=7.0.1", "build_working").check(0)


def test_a_toolchain_that_says_it_is_7_0_1_is_built_and_never_published(rocm: Project) -> None:
    rocm.source("rocm", "version").write_text("7.0.1-42\n")
    rocm.doit("build_rocm").check(12, ".info/version", "rule rocm-7.0.1")
    assert rocm.log("rocm")  # it was built
    assert not list(rocm.store.glob("records/*.json"))
    assert not list(rocm.store.glob("objects/*"))
    rocm.source("rocm", "version").write_text("6.4.4-129\n")
    rocm.doit("build_rocm").check(0)


def test_an_unpacked_toolchain_that_says_it_is_7_0_1_is_never_published(
    rocm: Project, tmp_path: Path
) -> None:
    import tarfile

    info = tmp_path / "sdk" / ".info" / "version"
    info.parent.mkdir(parents=True)
    info.write_text("7.0.1\n")
    archive = tmp_path / "sdk.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "sdk", "sdk")
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    pin = {"source": "archive", "url": f"file://{archive}", "sha256": sha256}
    rocm.add("rocm", output="toolchain", version="6.4.4", pin=pin)
    rocm.doit("build_rocm").check(12, "rule rocm-7.0.1")
    assert not list(rocm.store.glob("objects/*"))


def test_a_combination_that_names_no_component_is_told(rocm: Project) -> None:
    """The project's own rules speak of components that this small one does not have."""
    text = rocm.doit("policy").check(0, "never used: ", "(rocm-7.0.1)")
    assert "never applies: no recipe for pytorch, vllm" in text
