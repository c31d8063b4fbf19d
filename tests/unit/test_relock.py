"""`doit lock` writes the hashes of patches into the lock, and keeps what people wrote there."""

from pathlib import Path

import pytest

from strixforge.model.errors import IntegrityError, UnpinnedError
from strixforge.model.lock import load_lock
from strixforge.model.patch import load_patches, require_locked
from strixforge.relock import lock_patches
from tests.unit.home import PATCH

LOCK = """\
# a comment that stays
version = 1
default = "main"

[stack.main]
summary = "x"
[[stack.main.pin]]
component = "tool" # and this one
version = "1.0"
source = "local"
path = "tool"
epoch = 1767225600
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "toolchain.lock").write_text(LOCK)
    (tmp_path / "patches" / "tool").mkdir(parents=True)
    (tmp_path / "patches" / "tool" / "0001-fix.patch").write_text(PATCH)
    return tmp_path


def check(home: Path) -> None:
    lock = load_lock(home / "toolchain.lock")
    (patch,) = load_patches(home / "patches" / "tool")
    require_locked(patch, "tool", lock.patches, lock=lock.file)


def test_a_patch_that_is_not_locked_is_refused_until_it_is(home: Path) -> None:
    with pytest.raises(UnpinnedError, match=r"tool/0001-fix\.patch is not in the lock"):
        check(home)
    assert lock_patches(home, load_lock(home / "toolchain.lock")) == ["tool/0001-fix.patch"]
    check(home)
    assert lock_patches(home, load_lock(home / "toolchain.lock")) == []
    assert (home / "toolchain.lock").read_text().startswith(LOCK)


@pytest.mark.parametrize(("old", "new"), [("+new", "+nev"), ("make it work", "make it work!")])
def test_a_changed_byte_in_diff_or_header_is_refused_with_the_cure(
    home: Path, old: str, new: str
) -> None:
    lock_patches(home, load_lock(home / "toolchain.lock"))
    path = home / "patches" / "tool" / "0001-fix.patch"
    path.write_text(PATCH.replace(old, new))
    with pytest.raises(IntegrityError, match="has changed since it was locked") as caught:
        check(home)
    assert "git checkout" in caught.value.fix
    assert "./doit lock" in caught.value.fix


def test_a_removed_patch_leaves_the_lock(home: Path) -> None:
    lock_patches(home, load_lock(home / "toolchain.lock"))
    (home / "patches" / "tool" / "0001-fix.patch").unlink()
    assert lock_patches(home, load_lock(home / "toolchain.lock")) == ["tool/0001-fix.patch"]
    assert load_lock(home / "toolchain.lock").patches == {}
