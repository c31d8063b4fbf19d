"""`licences`: everything that is handed over says under which licence."""

import re
from collections.abc import Iterator

from strixforge.gates.finding import Checked, Finding
from strixforge.gates.metadata import read_metadata
from strixforge.gates.staged import Archive, Staged
from strixforge.model.errors import GateError

GATE = "licences"
_ASK = "Ask its maker, or do without it: who passes it on must know under which licence."
_RECIPE = "Write `license` of the recipe as its source has it."
# A licence as a file: at the top of .dist-info (wheel < 0.38) or in licenses/ there (PEP 639).
_FILE = re.compile(
    r"[^/]+\.dist-info/(licenses/.+|(LICEN[CS]E|COPYING|NOTICE)[^/]*)", re.IGNORECASE
)


def check(staged: Staged) -> Checked:
    """Look for a statement in every wheel, and in the recipe of all that was built."""
    wheels = [one for one in staged.readable if one.is_wheel]
    findings = [*_wheels(wheels), *_components(staged)]
    return Checked({"wheels": len(wheels), "components": len(staged.shipped)}, tuple(findings))


def _wheels(wheels: list[Archive]) -> Iterator[Finding]:
    for archive in wheels:
        try:
            stated = _is_stated(archive)
        except GateError as error:
            yield Finding(GATE, archive.path, error.what, _ASK)
            continue
        if not stated:
            yield Finding(GATE, archive.path, "says nothing of a licence", _ASK)


def _is_stated(archive: Archive) -> bool:
    header = read_metadata(archive.file)
    said = [str(header[name] or "").strip() for name in ("License-Expression", "License")]
    if any(text and text.upper() != "UNKNOWN" for text in said):  # what old setuptools wrote
        return True
    if any(str(one).startswith("License ::") for one in header.get_all("Classifier", [])):
        return True
    return any(_FILE.fullmatch(one.name) and one.size for one in archive.members)


def _components(staged: Staged) -> Iterator[Finding]:
    for component, shipped in staged.shipped.items():
        if not shipped.licence.strip():
            what = "its recipe says nothing of a licence"
            yield Finding(GATE, component, what, _RECIPE)
