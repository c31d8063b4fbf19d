"""The fuzzer: it finds a fault that is put there, and none in the readers as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="the fuzzer has requirements of its own: tests/fuzz")

pytestmark = pytest.mark.slow

HOME = Path(__file__).resolve().parents[2]

# A bundle of more than one entry is met after a few mutations of those that have one.
FAULTY = """
from tests.fuzz import readers
from strixforge.audit import bundles

right = bundles._table

def wrong(bundle):
    rows, end = right(bundle)
    if len(rows) > 1:
        raise ArithmeticError("put here")
    return rows, end

bundles._table = wrong
readers.main()
"""


def fuzz(cwd: Path, *how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *how, "-seed=1", f"-artifact_prefix={cwd}/"],
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_fault_is_found(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "-c", FAULTY, "-max_total_time=120")
    assert done.returncode == 77, done.stderr[-2000:]
    assert "ArithmeticError: put here" in done.stdout + done.stderr
    assert list(tmp_path.glob("crash-*"))


def test_the_readers_as_they_are(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "-m", "tests.fuzz.readers", "-max_total_time=45", "-timeout=20")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done " in done.stderr
    assert list(tmp_path.iterdir()) == []
