"""`record`: each wheel's RECORD against its files, hidden ones included.

An installer unpacks what is in the archive, and removes what RECORD lists: the two must be the
same. Source: the PyPA's "Recording installed projects" and "Binary distribution format".
"""

import base64
import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator

from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    canonicalize_version,
    parse_wheel_filename,
)

from strixforge.gates.finding import Checked, Finding
from strixforge.gates.staged import Archive, Staged

GATE = "record"
_FIX = "Build the wheel again, or pin another file of it: it is not what its maker packed."
_RECORD = re.compile(r"([^/]+)\.dist-info/RECORD")
_SIGNATURES = (".jws", ".p7s")
_LARGEST = 64 << 20  # torch's has 2 MB


def check(staged: Staged) -> Checked:
    """Compare every wheel with its RECORD. Never raises for what is in it."""
    findings = [
        Finding(GATE, one.path, one.problem, _FIX) for one in staged.archives if one.problem
    ]
    wheels = [one for one in staged.readable if one.is_wheel]
    for archive in staged.readable:
        told = (_problems if archive.is_wheel else _unread)(archive)
        findings += [Finding(GATE, archive.path, text, _FIX) for text in told]
    files = sum(len(one.members) for one in wheels)
    return Checked({"wheels": len(wheels), "files": files}, tuple(findings))


def _unread(archive: Archive) -> Iterator[str]:
    for member in archive.members:
        if member.problem and not member.dynamic and not member.sha256:
            yield f"{member.name} cannot be read: {member.problem}"


def _problems(archive: Archive) -> Iterator[str]:
    yield from _unread(archive)
    seen: set[str] = set()
    for member in archive.members:
        if not _is_inside(member.name):
            yield f"{member.name} is no path below the folder that it is installed to"
        if member.name in seen:
            yield f"{member.name} is in it twice"
        seen.add(member.name)
    records = [name for name in seen if _RECORD.fullmatch(name)]
    if len(records) != 1:
        yield f"it has {len(records) or 'no'} RECORD below a .dist-info"
        return
    (record,) = records
    if not _is_named(archive, record):
        yield f"{record} is not that of the wheel's name"
    try:
        rows = list(_rows(_text(archive, record)))
    except (OSError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        yield f"{record} cannot be read: {error}"
        return
    except csv.Error as error:
        yield f"{record} cannot be read: {error}"
        return
    yield from _differences(archive, record, rows)


def _differences(archive: Archive, record: str, rows: list[list[str]]) -> Iterator[str]:
    """Yield how the rows of RECORD differ from the files."""
    bare = {record, *(record + ending for ending in _SIGNATURES)}
    files = {one.name: one for one in archive.members}
    listed: set[str] = set()
    for row in rows:
        name, digest, size = (*row, "", "", "")[:3]
        if name in listed:
            yield f"RECORD lists {name} twice"
        listed.add(name)
        if not _is_inside(name):
            yield f"RECORD lists {name}, which leads out of the wheel"
        elif name not in files:
            yield f"RECORD lists {name}, which is not there"
        elif name not in bare and not files[name].problem:
            known = files[name]
            if digest != _digest(known.sha256):
                yield f"{name} has another sha256 than RECORD says"
            elif size != str(known.size):
                yield f"{name} has {known.size} bytes, and RECORD says {size or 'nothing'}"
    for name in files:
        if name not in listed and name not in bare:
            yield f"{name} is not listed in RECORD"


def _digest(sha256: str) -> str:
    encoded = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=")
    return f"sha256={encoded.decode('ascii')}"


def _is_inside(name: str) -> bool:
    parts = name.split("/")
    return not ("\\" in name or "\0" in name or {"", ".", ".."} & {*parts} or ":" in parts[0])


def _is_named(archive: Archive, record: str) -> bool:
    """Say whether RECORD lies in the folder of the wheel's own name and version, as pip asks."""
    try:
        name, version, *_ = parse_wheel_filename(archive.file.name)
    except InvalidWheelFilename:
        return True  # the gate `tags` tells it
    folder = record.partition(".dist-info/")[0]
    theirs, _, number = folder.rpartition("-")
    same = canonicalize_version(number) == canonicalize_version(str(version))
    return canonicalize_name(theirs) == name and same


def _text(archive: Archive, name: str) -> str:
    with zipfile.ZipFile(archive.file) as zipped, zipped.open(name) as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    return data.decode("utf-8")


def _rows(text: str) -> Iterator[list[str]]:
    return (row for row in csv.reader(io.StringIO(text, newline="")) if row)
