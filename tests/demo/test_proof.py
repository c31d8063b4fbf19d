"""The demo's bundle says what it was made from, is signed, and anyone can check that."""

import base64
import csv
import hashlib
import io
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from .conftest import HOME, clean_environment

pytestmark = pytest.mark.slow


def doit(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(HOME / "doit"), "stack=demo", *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def pair(folder: Path, name: str) -> tuple[Path, Path]:
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)]
    subprocess.run(make, check=True)
    show = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(show, check=True)
    return private, public


def test_every_built_wheel_says_what_it_was_made_from(wheelhouse: Path) -> None:
    manifest = json.loads((wheelhouse / "manifest.json").read_text())
    built = [
        one for one in manifest["files"] if "built" in one["origin"] and one["path"][-4:] == ".whl"
    ]
    assert len(built) == 3
    for one in built:
        with zipfile.ZipFile(wheelhouse / one["path"]) as wheel:
            (name,) = (n for n in wheel.namelist() if n.endswith("/sboms/strixforge.cdx.json"))
            bill = wheel.read(name)
            record = wheel.read(f"{name.partition('/')[0]}/RECORD").decode()
        rows = {row[0]: row[1] for row in csv.reader(io.StringIO(record))}
        digest = base64.urlsafe_b64encode(hashlib.sha256(bill).digest()).rstrip(b"=").decode()
        assert rows[name] == f"sha256={digest}"
        top = json.loads(bill)["metadata"]["component"]
        told = {each["name"]: each["value"] for each in top["properties"]}
        assert told["strixforge:component"] == one["origin"]["built"]
        assert told["strixforge:key"] == one["origin"]["key"]
        assert top["pedigree"]["ancestors"]


def test_a_signed_bundle_is_verified_and_a_changed_one_is_not(
    wheelhouse: Path, tmp_path: Path
) -> None:
    private, public = pair(tmp_path, "mine")
    _, other = pair(tmp_path, "other")
    done = doit(f"sign_with={private}", "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "signature            made with key " in done.stdout
    assert (wheelhouse / "provenance.dsse.json").is_file()
    done = doit(f"sign_with={private}", "bundle")
    assert done.stdout.endswith("bundle               up to date\n")
    done = doit(f"signed_by={public}", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("good, by the key that you trust") == 2
    done = doit(f"signed_by={other}", "verify")
    assert done.returncode == 15
    assert "not signed with that key" in done.stderr

    made = HOME / "build" / "bundle" / "strixforge-demo-gfx1151.tar"
    content = bytearray(made.read_bytes())
    content[content.index(b"strixforge.cdx.json") + 2] ^= 1
    copy = tmp_path / "changed.tar"
    copy.write_bytes(content)
    done = doit(f"path={copy}", "verify")
    assert done.returncode == 15
    assert "wheels/" in done.stderr
    assert "Traceback" not in done.stderr


def test_openssl_alone_can_check_the_signature(wheelhouse: Path, tmp_path: Path) -> None:
    """As docs/how-to/sign-and-verify.md says: no strixforge on the machine that checks."""
    private, public = pair(tmp_path, "mine")
    done = doit(f"sign_with={private}", "wheelhouse")
    assert done.returncode == 0, done.stdout + done.stderr
    page = (HOME / "docs" / "how-to" / "sign-and-verify.md").read_text()
    (script,) = (part for part in page.split("```")[1::2] if "pkeyutl" in part)
    command = script.removeprefix("sh\n").replace("strixforge.pub", str(public))
    for damage, code in ((False, 0), (True, 1)):
        for name in ("provenance.json", "provenance.dsse.json"):
            content = (wheelhouse / name).read_bytes()
            if damage:
                content = content.replace(b"gfx1151", b"gfx1100")
            (tmp_path / name).write_bytes(content)
        shown = subprocess.run(["sh", "-ec", command], cwd=tmp_path, capture_output=True, text=True)
        assert shown.returncode == code, shown.stdout + shown.stderr
