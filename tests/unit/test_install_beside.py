"""A night installs what it built: what ends that, and whose fault it is."""

from pathlib import Path

import pytest

from strixforge.actions.smoking import install_beside
from strixforge.model.errors import GateError, HostError
from tests.unit.tiny import real_pip, tiny_wheelhouse


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    return tiny_wheelhouse(tmp_path / "wheelhouse", real_pip())


def install(wheelhouse: Path, prefix: Path) -> str | None:
    return install_beside(wheelhouse, prefix, prefix.parent / "log", lambda _: None)


def test_it_is_there_as_a_whole(wheelhouse: Path, tmp_path: Path) -> None:
    assert install(wheelhouse, tmp_path / "prefix") is None
    assert (tmp_path / "prefix" / "activate.sh").is_file()
    assert not list(tmp_path.glob("prefix.*"))


def test_a_changed_byte_is_a_fault_of_the_wheelhouse(wheelhouse: Path, tmp_path: Path) -> None:
    (wheel,) = (wheelhouse / "wheels").iterdir()
    wheel.write_bytes(wheel.read_bytes()[:-1] + b"x")
    with pytest.raises(GateError, match=r"install\.sh ended with 4"):
        install(wheelhouse, tmp_path / "prefix")
    assert not (tmp_path / "prefix").exists()


def test_a_python_that_does_not_fit_is_told_and_no_fault(
    wheelhouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIXFORGE_PYTHON", "/nowhere/python")
    missing = install(wheelhouse, tmp_path / "prefix")
    assert missing is not None
    assert "CPython" in missing
    assert not (tmp_path / "prefix").exists()


def test_a_folder_that_cannot_be_used_is_a_fault_of_the_machine(
    wheelhouse: Path, tmp_path: Path
) -> None:
    (tmp_path / "a:b").mkdir()
    with pytest.raises(HostError, match=r"install\.sh ended with 2"):
        install(wheelhouse, tmp_path / "a:b" / "prefix")
