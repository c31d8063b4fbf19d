"""`architecture`: no code object for another GPU, but those that a release brought along."""

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from strixforge.audit.codeobjects import CodeObject, Unreadable, scan
from strixforge.audit.gate import architecture_findings
from strixforge.gates.finding import Checked, Finding
from strixforge.gates.staged import Archive, Staged

GATE = "architecture"
_FIX = "Find which component brought it; ./doit explain lists what changed."


def check(staged: Staged) -> Checked:
    """Search all archives but toolchains for code objects."""
    findings = []
    counts = {"archives": 0, "code objects": 0, "kernels": 0}
    for archive in staged.readable:
        if archive.as_it_came:
            continue
        counts["archives"] += 1
        found = []
        for one in _scan(archive):
            found.append(one)
            if isinstance(one, CodeObject):
                counts["code objects"] += 1
                counts["kernels"] += len(one.kernels)
        findings += [
            Finding(GATE, archive.path, text, _FIX)
            for text in architecture_findings(found, staged.arch, required=False)
        ]
    return Checked(counts, tuple(findings))


def _scan(archive: Archive) -> Iterator[CodeObject | Unreadable]:
    """Scan a wheel, or the files of a tar, which the audit does not look into."""
    if archive.is_wheel:
        yield from scan(archive.file)
        return
    with tempfile.TemporaryDirectory(dir=archive.file.parent) as folder:
        with tarfile.open(archive.file, "r:") as tar:
            tar.extractall(folder, filter="data")
        yield from scan(Path(folder))
