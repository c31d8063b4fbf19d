"""`symbols`: what every library and program wants is defined by what it is loaded with."""

import re
from collections.abc import Iterator

from strixforge.gates.dynamic import Wanted
from strixforge.gates.finding import Checked, Finding
from strixforge.gates.loading import Loaded, Loader
from strixforge.gates.staged import Staged
from strixforge.gates.system import system

GATE = "symbols"
_FIX = "Build it against the very libraries of this stack: its build saw others."
_TORCH = "Build it against the stack's own PyTorch: its build saw another one."
# Mangled names with the namespaces c10, at and torch: length, then name (Itanium C++ ABI).
_OF_TORCH = re.compile(r"_Z.*(?<!\d)(3c10|2at|5torch)")
_SHOWN = 3


def check(staged: Staged) -> Checked:
    """Look up every strong symbol that is undefined in a file."""
    loader = Loader(staged)
    findings: list[Finding] = []
    counts = dict.fromkeys(("files", "symbols", "of the machine", "not decided"), 0)
    for root in loader.roots():
        loaded = loader.load(root)
        counts["files"] += 1
        unresolved = []
        for wanted in root.member.dynamic.wanted if root.member.dynamic else ():
            counts["symbols"] += 1
            if any(wanted.name in one for one in _exports(loaded)):
                continue
            if _OF_TORCH.match(wanted.name):
                unresolved.append(wanted.name)
            elif _is_given(wanted, loaded):
                counts["of the machine"] += 1
            elif loaded.missing:
                counts["not decided"] += 1  # the gate `linkage` tells what is missing
            else:
                unresolved.append(wanted.name)
        if unresolved:
            findings.append(Finding(GATE, root.where, *_told(unresolved)))
    kept, left = system().without_exceptions(staged.archives, findings)
    return Checked({**counts, "exceptions": left}, tuple(kept))


def _exports(loaded: Loaded) -> Iterator[frozenset[str]]:
    return (one.member.dynamic.exports for one in loaded.files if one.member.dynamic)


def _is_given(wanted: Wanted, loaded: Loaded) -> bool:
    """Say whether a library of the machine has it, or Python, which loads modules of wheels."""
    version = wanted.version.name if wanted.version else ""
    programs = system().program if loaded.files[0].archive.is_wheel else ()
    return any(one.gives(wanted.name, version) for one in (*loaded.system, *programs))


def _told(names: list[str]) -> tuple[str, str]:
    """Return what is said of unresolved symbols, and what to do."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    text = f"wants {', '.join(sorted(names)[:_SHOWN])}{more}, which nothing that it loads has"
    return text, _TORCH if any(map(_OF_TORCH.match, names)) else _FIX
