"""`prebuilt`: no file that others have built and published, where the stack builds its own."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

from strixforge.gates.finding import Checked, Finding
from strixforge.gates.staged import Staged
from strixforge.model.loading import convert, read_toml

GATE = "prebuilt"
_FIX = "Find the step that downloads it: the recipe's page lists the switches against that."
_Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published file."""

    sha256: _Sha256
    what: str
    source: str


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole list."""

    file: tuple[File, ...]


@cache
def known() -> Mapping[str, File]:
    """Return what prebuilt.toml lists, by sha256."""
    path = Path(__file__).with_name("prebuilt.toml")
    files = convert(read_toml(path), Files, file=path, key="")
    return {one.sha256: one for one in files.file}


def check(staged: Staged) -> Checked:
    """Compare every wheel and every file in wheels and prefixes with the list."""
    digests = list(_digests(staged))
    findings = [
        Finding(GATE, where, f"is {known()[sha256].what}", _FIX)
        for where, sha256 in digests
        if sha256 in known()
    ]
    return Checked({"files": len(digests), "known": len(known())}, tuple(findings))


def _digests(staged: Staged) -> Iterator[tuple[str, str]]:
    for archive in staged.archives:
        yield archive.path, archive.sha256
        for member in archive.members:
            if member.sha256:
                yield f"{archive.path}: {member.name}", member.sha256
