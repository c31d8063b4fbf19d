"""`architecture`: no code object for another GPU, but those that a release brought along."""

from strixforge.audit.codeobjects import CodeObject, scan
from strixforge.audit.gate import architecture_findings
from strixforge.gates.finding import Checked, Finding
from strixforge.gates.staged import Staged

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
        for one in scan(archive.file):
            found.append(one)
            if isinstance(one, CodeObject):
                counts["code objects"] += 1
                counts["kernels"] += len(one.kernels)
        findings += [
            Finding(GATE, archive.path, text, _FIX)
            for text in architecture_findings(found, staged.arch, required=False)
        ]
    return Checked(counts, tuple(findings))
