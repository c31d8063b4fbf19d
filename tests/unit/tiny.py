"""A wheelhouse of a few kilobytes with all that a real one has: made here, without a build."""

import base64
import ensurepip
import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from strixforge.attest.bill import Part, bill_of_all, bill_of_part
from strixforge.attest.materials import Material
from strixforge.attest.provenance import statement
from strixforge.model.digests import file_sha256
from strixforge.release.inputs import INSTALLER, TEMPLATES
from strixforge.release.sums import BILL, PROVENANCE, SIGNATURE, SUMS, sha256sums

SOURCE = Material("source", "tiny", "1.0", "git+https://tiny.invalid/x", {"gitCommit": "ab" * 20})
PATCH = Material(
    "patch", "0001-mend.patch", "", "strixforge:patches/0001-mend.patch", {"sha256": "cd" * 32}
)
TOOL = Material("tool", "setuptools", "80.0", "pkg:pypi/setuptools@80.0", {})
MADE_FROM = (SOURCE, PATCH, TOOL)
TINY = Part("tiny", "1.0", "pypi", licence="MIT", component="tiny", key="ef", materials=MADE_FROM)
STUFF = Part("stuff", "2.0", "generic", component="stuff", key="01", materials=(SOURCE,))

MODULE = "def main():\n    print('tiny works')\n"


def real_pip() -> Path:
    """Return the wheel of pip that comes with this Python."""
    folders = (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels"))
    for folder in folders:
        for path in sorted(folder.glob("pip-*.whl")):
            return path
    pytest.skip("this Python brings no wheel of pip")


def tiny_wheelhouse(place: Path, pip: Path | None = None) -> Path:
    """Make the wheelhouse; without `pip` it can be checked, but not installed."""
    for name in ("wheels", "prefixes", "tools"):
        (place / name).mkdir(parents=True)
    wheel = place / "wheels" / "tiny-1.0-py3-none-any.whl"
    tiny_wheel(wheel, bill_of_part(TINY))
    _prefix(place / "prefixes" / "stuff-2.0.tar")
    if pip is None:
        with zipfile.ZipFile(place / "tools" / "pip-1-py3-none-any.whl", "w") as archive:
            archive.writestr(zipfile.ZipInfo("pip.py"), "not a real one\n")
    else:
        shutil.copy(pip, place / "tools")
    for name in INSTALLER:
        shutil.copyfile(TEMPLATES / name, place / name)
    (place / "install.sh").chmod(0o755)
    (place / "activate.sh").write_text('PATH="$PWD/env/bin:$PATH"\n')
    (place / "requirements.txt").write_text(f"tiny==1.0 --hash=sha256:{file_sha256(wheel)}\n")
    (place / BILL).write_text(_bill(place))
    seal_wheelhouse(place)
    return place


def _bill(place: Path) -> str:
    (pip,) = (place / "tools").iterdir()
    known = {"wheels": TINY, "prefixes": STUFF, "tools": Part("pip", "1", "pypi")}
    parts = [
        replace(
            known[path.parent.name],
            file=path.relative_to(place).as_posix(),
            sha256=file_sha256(path),
        )
        for path in (*(place / "wheels").iterdir(), *(place / "prefixes").iterdir(), pip)
    ]
    return bill_of_all("strixforge-tiny-gfx1151", "1", parts)


def seal_wheelhouse(place: Path) -> None:
    """Write manifest.json, provenance.json and SHA256SUMS for what lies there; unsigned."""
    origins = {
        "wheels": {"built": "tiny", "version": "1.0"},
        "prefixes": {"built": "stuff", "version": "2.0"},
        "tools": {"index": "pip", "version": "1"},
    }
    paths = sorted(path for path in place.rglob("*") if path.is_file())
    listed = {path.relative_to(place).as_posix(): path for path in paths}
    for name in ("manifest.json", PROVENANCE, SIGNATURE, SUMS):
        listed.pop(name, None)
    (place / SIGNATURE).unlink(missing_ok=True)
    manifest = {
        "schema": 1,
        "stack": "tiny",
        "arch": "gfx1151",
        "inputs": "23" * 32,
        "python": "3.10",
        "python_exact": False,
        "python_requires": ">=3.10",
        "without": {},
        "glibc": "",
        "glibc_file": "",
        "files": [
            {
                "path": name,
                "sha256": file_sha256(path),
                "size": path.stat().st_size,
                "origin": origins.get(name.partition("/")[0], {"strixforge": "tiny"}),
            }
            for name, path in listed.items()
        ],
    }
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    (place / "manifest.json").write_text(text)
    listed["manifest.json"] = place / "manifest.json"
    digests = {name: file_sha256(path) for name, path in listed.items()}
    internal = {"inputs": "23" * 32, "keys": {"stuff": "01", "tiny": "ef"}, "python": "3.10"}
    external = {"stack": "tiny", "arch": "gfx1151", "versions": {}}
    (place / PROVENANCE).write_text(statement(digests, external, internal, MADE_FROM))
    digests[PROVENANCE] = file_sha256(place / PROVENANCE)
    (place / SUMS).write_text(sha256sums(digests))


def tiny_wheel(path: Path, bill: str = "") -> None:
    """Write a wheel; with a bill of materials, if one is given."""
    info = "tiny-1.0.dist-info"
    files = {
        "tiny.py": MODULE,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **({f"{info}/sboms/strixforge.cdx.json": bill} if bill else {}),
        f"{info}/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
    }
    lines = []
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            lines.append(f"{name},sha256={digest.rstrip(b'=').decode()},{len(text)}\n")
            archive.writestr(zipfile.ZipInfo(name), text)
        record = f"{info}/RECORD"
        archive.writestr(zipfile.ZipInfo(record), "".join([*lines, f"{record},,\n"]))


def _prefix(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, mode in (("bin/tool", 0o755), ("lib/libstuff.so.1", 0o644)):
            member = tarfile.TarInfo(name)
            content = f"content of {name}\n".encode()
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("lib/libstuff.so")
        link.type, link.linkname = tarfile.SYMTYPE, "libstuff.so.1"
        tar.addfile(link)
