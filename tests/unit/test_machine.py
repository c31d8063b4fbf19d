"""Memory and disk of this machine, within the limits of cgroups whose files are made here."""

import shutil
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.host import machine

ALL = int(psutil.virtual_memory().total)
MIB = 1 << 20


class Groups:
    """A cgroup file of this process, and the tree that it names a place in."""

    def __init__(self, folder: Path) -> None:
        self.own = folder / "cgroup"
        self.root = folder / "fs"
        self.root.mkdir()

    def limit(self, place: str, text: str) -> None:
        """Set a group's limit."""
        folder = self.root / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(text)

    def memory(self, own: str = "0::/user.slice/a.scope\n") -> int:
        """Return the memory of a process in that group."""
        self.own.write_text(own)
        return machine.memory(self.own, self.root)


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


def test_without_limits_it_is_the_machines(groups: Groups) -> None:
    assert groups.memory() == ALL
    groups.limit("user.slice/a.scope", "max\n")
    assert groups.memory() == ALL


def test_a_limit_of_its_own_group(groups: Groups) -> None:
    groups.limit("user.slice/a.scope", f"{512 * MIB}\n")
    assert groups.memory() == 512 * MIB


def test_the_smallest_limit_above_it_counts(groups: Groups) -> None:
    groups.limit("user.slice/a.scope", f"{512 * MIB}\n")
    groups.limit("user.slice", f"{256 * MIB}\n")
    assert groups.memory() == 256 * MIB


def test_a_limit_of_the_root_as_a_container_sees_it(groups: Groups) -> None:
    groups.limit(".", f"{128 * MIB}\n")
    assert groups.memory("0::/\n") == 128 * MIB
    assert groups.memory() == 128 * MIB


def test_a_limit_beside_it_or_below_it_does_not_count(groups: Groups) -> None:
    groups.limit("system.slice", "1\n")
    groups.limit("user.slice/a.scope/below", "1\n")
    assert groups.memory() == ALL


def test_a_limit_above_what_there_is(groups: Groups) -> None:
    groups.limit("user.slice", f"{ALL * 2}\n")
    assert groups.memory() == ALL


@pytest.mark.parametrize("own", ["", "1:name=systemd:/\n4:memory:/user.slice/a.scope\n", "junk"])
def test_a_machine_without_the_second_version_of_cgroups(groups: Groups, own: str) -> None:
    groups.limit("user.slice/a.scope", "1\n")
    assert groups.memory(own) == ALL


def test_the_second_version_beside_the_first(groups: Groups) -> None:
    groups.limit("a", f"{MIB}\n")
    assert groups.memory("4:memory:/b\n0::/a\n") == MIB


def test_no_such_files(tmp_path: Path) -> None:
    assert machine.memory(tmp_path / "none", tmp_path / "none") == ALL


@given(own=st.binary(max_size=40), limit=st.binary(max_size=20))
def test_any_bytes_are_a_limit_or_none(
    tmp_path_factory: pytest.TempPathFactory, own: bytes, limit: bytes
) -> None:
    groups = Groups(tmp_path_factory.mktemp("groups"))
    (groups.root / "memory.max").write_bytes(limit)
    groups.own.write_bytes(b"0::/" + own)
    assert machine.memory(groups.own, groups.root) <= ALL


def test_the_disk_of_a_folder_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert abs(machine.disk(tmp_path / "a" / "b" / "c") - free) < 1 << 30
    monkeypatch.chdir(tmp_path)
    assert abs(machine.disk(Path("not/there")) - free) < 1 << 30
