"""A large library is read by two processes, and is the same as if one had read it."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from strixforge.audit import sharing
from strixforge.audit.bundles import Bundle
from strixforge.audit.codeobjects import CodeObject, Unreadable, survey
from strixforge.audit.images import Seen
from tests.unit.test_codeobjects import HOST, LABEL, bundle, compressed, fatbin, zipped
from tests.unit.test_codeobjects import device as image

COUNT = 90
SIZE = 1 << 20
PACKED = 256 << 10
"""Bytes of a bundle that do not pack: all of them together make the library a large one."""

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="with one core there is no second process"
)


def packed(number: int) -> bytes:
    noise = random.Random(number).randbytes(PACKED) + bytes(SIZE - PACKED)
    kernels = image(kernels=(f"kernel_{number}", "gemm"))
    return compressed(bundle(HOST, (LABEL, kernels + noise)), version=2)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "lib.so"
    path.write_bytes(fatbin(*map(packed, range(COUNT))))
    assert path.stat().st_size > sharing.WORTHWHILE
    return path


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the ordinals of the bundles that the other process has read, as they come."""
    ordinals = []
    right = sharing.Second.found

    def found(self: sharing.Second, ordinal: int, bundle: Bundle) -> object:
        answer = right(self, ordinal, bundle)
        ordinals.extend([] if answer is None else [ordinal])
        return answer

    monkeypatch.setattr(sharing.Second, "found", found)
    return ordinals


def alone(path: Path) -> list[Seen]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(cores)])
    try:
        return list(survey(path))
    finally:
        os.sched_setaffinity(0, cores)


def test_half_of_what_is_unpacked_after_the_beginning_is_read_by_the_other(
    library: Path, shared: list[int]
) -> None:
    found = list(survey(library))
    assert len(shared) == 13  # 64 of 90 MiB are read while it begins
    assert len(found) == COUNT
    for number, one in enumerate(found):
        assert isinstance(one, CodeObject)
        assert one.where == f"{library}!.hip_fatbin!{number}!{LABEL}"
        assert [kernel.name for kernel in one.kernels] == [f"kernel_{number}", "gemm"]


def test_one_core_reads_alone_and_finds_the_same(library: Path, shared: list[int]) -> None:
    found = alone(library)
    assert shared == []
    assert found == list(survey(library))


def test_a_library_in_a_wheel_is_shared_too(
    library: Path, shared: list[int], tmp_path: Path
) -> None:
    wheel = tmp_path / "w.whl"
    wheel.write_bytes(zipped({"lib.so": library.read_bytes()}))
    found = list(survey(wheel, ("gfx1151",)))
    assert len(found) == COUNT
    assert shared


def test_targets_that_nobody_asked_for_are_without_kernels_from_either(
    library: Path, shared: list[int]
) -> None:
    found = list(survey(library, ("gfx1100",)))
    assert {one.kernels for one in found if isinstance(one, CodeObject)} == {()}
    assert shared


@pytest.mark.parametrize("number", range(80, 84))
def test_damage_that_either_finds_is_told_alike(number: int, tmp_path: Path) -> None:
    bundles = [bytearray(packed(one)) for one in range(COUNT)]
    bundles[number][24] ^= 0xFF  # zstd's magic number
    path = tmp_path / "lib.so"
    path.write_bytes(fatbin(*map(bytes, bundles)))
    found = list(survey(path))
    assert found == alone(path)
    assert len(found) == number + 1
    assert isinstance(found[-1], Unreadable)


SILENT = "#!/bin/sh\nexit 1\n"
ENDLESS = "#!/bin/sh\nexec sleep 600\n"
GARBAGE = "#!/bin/sh\nexec yes\n"
CUT = f'#!/bin/sh\nexec {sys.executable} "$@" | head -c 2000\n'
OTHER = f'#!/bin/sh\nexec {sys.executable} "$@" | tail -c +1000\n'


@pytest.mark.parametrize("words", [SILENT, GARBAGE, CUT, OTHER])
def test_what_the_other_does_not_say_is_read_here(
    words: str,
    library: Path,
    shared: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "python"
    program.write_text(words)
    program.chmod(0o755)
    right = alone(library)
    monkeypatch.setattr(sys, "executable", str(program))
    assert list(survey(library)) == right
    assert len(shared) < 13


def test_no_process_to_be_had_is_no_fault(
    library: Path, shared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert len(list(survey(library))) == COUNT
    assert shared == []


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_one_that_says_nothing_is_given_up(
    library: Path, shared: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(ENDLESS)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(sharing, "_SILENT", 0.5)
    assert len(list(survey(library))) == COUNT
    assert shared == []
    assert children() == []


@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    program = tmp_path / "python"
    program.write_text(ENDLESS)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    yield
    assert children() == []


@pytest.mark.usefixtures("endless")
def test_the_other_ends_with_the_one_who_asked(library: Path) -> None:
    seen = survey(library)
    next(seen)
    assert len(children()) == 1
    seen.close()  # type: ignore[attr-defined]


def test_a_folder_with_a_package_of_our_name_is_not_run(
    library: Path, shared: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strixforge").mkdir()
    (tmp_path / "strixforge" / "__init__.py").write_text("open('was-here', 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert len(list(survey(library))) == COUNT
    assert shared
    assert not (tmp_path / "was-here").exists()
