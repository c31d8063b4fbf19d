"""A bundle depends on its wheelhouse alone, and one changed bit anywhere in it is refused."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strixforge.model.errors import IntegrityError
from strixforge.release.bundle import is_current, sums_file, write_bundle, write_state
from tests.unit.tiny import tiny_wheelhouse

EPOCH = 1_700_000_000
SHELLS = [["dash"], ["bash", "--posix"]]


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    return tiny_wheelhouse(tmp_path / "wheelhouse")


@pytest.fixture
def bundle(wheelhouse: Path, tmp_path: Path) -> Path:
    return write_bundle(wheelhouse, tmp_path / "out" / "strixforge-tiny-gfx1151.tar", EPOCH).path


def test_two_bundles_of_one_wheelhouse_are_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        other = tiny_wheelhouse(tmp_path / "again" / "another folder")
        for number, path in enumerate(sorted(other.rglob("*"), reverse=True)):
            os.utime(path, (number, number))
            if path.is_file() and path.name != "install.sh":
                path.chmod(0o600)
        made = write_bundle(other, tmp_path / "other" / bundle.name, EPOCH)
    finally:
        os.umask(before)
    assert made.path.read_bytes() == bundle.read_bytes()
    assert sums_file(made.path).read_text() == sums_file(bundle).read_text()
    assert (made.size, made.sha256) == (
        bundle.stat().st_size,
        hashlib.sha256(bundle.read_bytes()).hexdigest(),
    )


def test_members_say_nothing_of_who_made_them_when(bundle: Path, wheelhouse: Path) -> None:
    with tarfile.open(bundle) as tar:
        members = tar.getmembers()
    names = [member.name for member in members]
    assert names[0] == "strixforge-tiny-gfx1151"
    assert all(name.startswith("strixforge-tiny-gfx1151/") for name in names[1:])
    assert len(names) == 1 + len([*wheelhouse.rglob("*")])
    assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in members} == {
        (0, 0, "", "", EPOCH)
    }
    programs = [one.name.rpartition("/")[2] for one in members if one.mode == 0o755 and one.isreg()]
    assert programs == ["install.sh"]


def test_what_is_unpacked_is_the_wheelhouse(bundle: Path, wheelhouse: Path, tmp_path: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", sums_file(bundle).name], cwd=bundle.parent)
    assert done.returncode == 0
    subprocess.run(["tar", "-xf", bundle], cwd=tmp_path, check=True)
    assert tree(tmp_path / bundle.stem) == tree(wheelhouse)
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / bundle.stem)
    assert done.returncode == 0


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("how", ["changed", "removed", "added", "SHA256SUMS"])
def test_a_wheelhouse_that_is_not_as_it_was_collected_is_refused(
    bundle: Path, wheelhouse: Path, how: str
) -> None:
    before = tree(bundle.parent)
    path = wheelhouse / "wheels" / "tiny-1.0-py3-none-any.whl"
    if how == "changed":
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
    elif how == "removed":
        path.unlink()
    elif how == "added":
        path = wheelhouse / "tools" / "more"
        path.write_text("more")
    else:
        (wheelhouse / "SHA256SUMS").write_text("")
    with pytest.raises(IntegrityError) as raised:
        write_bundle(wheelhouse, bundle, EPOCH)
    assert how == "SHA256SUMS" or path.name in str(raised.value)
    assert tree(bundle.parent) == before


def test_it_is_known_whether_a_bundle_is_current(
    bundle: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "tiny.json"
    assert not is_current(wheelhouse, bundle, state)
    write_state(wheelhouse, bundle, state)
    assert is_current(wheelhouse, bundle, state)
    content = sums_file(bundle).read_text()
    sums_file(bundle).unlink()
    assert not is_current(wheelhouse, bundle, state)
    sums_file(bundle).write_text(content)
    assert not is_current(wheelhouse, bundle, state)
    write_state(wheelhouse, bundle, state)
    with bundle.open("ab") as file:
        file.write(b"\0")
    assert not is_current(wheelhouse, bundle, state)
    write_state(wheelhouse, bundle, state)
    (wheelhouse / "SHA256SUMS").write_text("other\n")
    assert not is_current(wheelhouse, bundle, state)


def test_a_killed_run_leaves_the_earlier_bundle(bundle: Path, wheelhouse: Path) -> None:
    before = tree(bundle.parent)
    slow = (
        "import sys, time, strixforge.release.bundle as b; from pathlib import Path\n"
        "add = b._add; b._add = lambda *a: (add(*a), time.sleep(0.1))\n"
        "b.write_bundle(Path(sys.argv[1]), Path(sys.argv[2]), 1)"
    )
    with subprocess.Popen([sys.executable, "-c", slow, wheelhouse, bundle]) as run:
        staged = bundle.with_name(f".{bundle.name}.new")
        while not staged.exists():
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    left = tree(bundle.parent)
    assert left.pop(staged.name) is not None
    assert left == before
    write_bundle(wheelhouse, bundle, EPOCH)
    assert tree(bundle.parent) == before


class Flipped:
    """A bundle of which one bit is changed at a time."""

    def __init__(self, bundle: Path, room: Path) -> None:
        self.bundle, self.room = bundle, room
        self.content = bundle.read_bytes()
        self.contents: list[tuple[int, int, str]] = []
        with tarfile.open(bundle) as tar:
            for member in tar.getmembers():
                name = member.name.partition("/")[2]
                self.contents.append((member.offset_data, member.offset_data + member.size, name))
        self.whole = self._unpacked(bundle)
        assert self.whole is not None

    def _unpacked(self, archive: Path) -> dict[str, bytes] | None:
        """Unpack with the system's tar; None when it refuses."""
        shutil.rmtree(self.room, ignore_errors=True)
        self.room.mkdir()
        done = subprocess.run(["tar", "-xf", archive], cwd=self.room, capture_output=True)
        return tree(self.room) if done.returncode == 0 else None

    def refused_by(self, position: int, bit: int) -> str:
        """Return who refuses this bundle; fail when it is not who should."""
        changed = bytearray(self.content)
        changed[position] ^= 1 << bit
        folder = self.room.with_name("carried")
        folder.mkdir(exist_ok=True)
        archive = folder / self.bundle.name
        archive.write_bytes(changed)
        shutil.copy(sums_file(self.bundle), folder)
        sums = subprocess.run(
            ["sha256sum", "-c", sums_file(archive).name], cwd=folder, capture_output=True
        )
        assert sums.returncode == 1
        found = self._unpacked(archive)
        name = next((name for a, b, name in self.contents if a <= position < b), "")
        if found is None:
            assert not name
            return "tar"
        if found == self.whole:
            assert not name, f"{name} is as it was"
            return ".sha256 alone"
        wheelhouse = self.room / self.bundle.stem
        if name == "install.sh":
            self._others_name_it(wheelhouse)
        done = self._check(wheelhouse, SHELLS[position % 2], alone=name in ("", "install.sh"))
        assert done.returncode != 0, (position, bit, name, done)
        if name == "install.sh":
            return "another, install.sh being damaged"
        assert done.returncode == 4, (position, bit, name, done)
        assert name in done.stderr, (position, bit, name, done)
        assert "Traceback" not in done.stderr
        assert done.stdout in ("", f"install.sh: using {done.stdout[18:]}")
        return "install.sh"

    def _others_name_it(self, wheelhouse: Path) -> None:
        """install.sh is checked by what install.sh is not."""
        done = subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=wheelhouse, capture_output=True, text=True
        )
        assert "install.sh: FAILED" in done.stdout
        done = subprocess.run(
            [sys.executable, "-I", "-B", wheelhouse / "install.py", "--check"],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (4, "")
        assert "install.sh was changed" in done.stderr

    def _check(
        self, wheelhouse: Path, shell: list[str], *, alone: bool
    ) -> subprocess.CompletedProcess[str]:
        """Check it; a damaged script, which may do anything, where it can do nothing."""
        around = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev"] if alone else []
        return subprocess.run(
            [*around, *shell, str(wheelhouse / "install.sh"), "--check"],
            env={"PATH": os.environ["PATH"], "STRIXFORGE_PYTHON": sys.executable},
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=30,
        )


@pytest.fixture
def flipped(bundle: Path, tmp_path: Path) -> Flipped:
    for program in ("dash", "bash", "bwrap"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    return Flipped(bundle, tmp_path / "unpacked")


def every(flipped: Flipped, step: int) -> Counter[str]:
    positions = range(0, len(flipped.content), step)
    return Counter(flipped.refused_by(at, at // step % 8) for at in positions)


def test_a_flipped_bit_is_refused(flipped: Flipped) -> None:
    assert every(flipped, 1499)["install.sh"] > 5


@pytest.mark.slow
def test_a_flipped_bit_is_refused_wherever_it_is(flipped: Flipped) -> None:
    counts = every(flipped, 97)
    print(counts)
    assert set(counts) == {
        *("install.sh", "another, install.sh being damaged", "tar", ".sha256 alone")
    }
    assert sum(counts.values()) > 500


@pytest.mark.slow
def test_any_flipped_bit_of_what_checks_the_rest_is_refused(flipped: Flipped) -> None:
    """SHA256SUMS bit by bit: it is the one file that no other names."""
    (a, b, _), *_ = (one for one in flipped.contents if one[2] == "SHA256SUMS")
    for position in range(a, b, 3):
        assert flipped.refused_by(position, position % 8) == "install.sh"


@pytest.mark.slow
def test_bits_that_are_chosen_are_refused(flipped: Flipped) -> None:
    @settings(
        max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None
    )
    @given(st.integers(0, len(flipped.content) - 1), st.integers(0, 7))
    def refused(position: int, bit: int) -> None:
        flipped.refused_by(position, bit)

    refused()
