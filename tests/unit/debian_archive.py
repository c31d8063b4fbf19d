"""Small signed package archives, made of real .deb files and real OpenPGP keys."""

import gzip
import hashlib
import io
import lzma
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from strixforge.model.packages import Release
from strixforge.model.repository import Repository
from strixforge.sources.apt.release import Index
from tests.unit.web import Reply, Server

SUITE = "trixie"
DATE = "Sat, 15 Nov 2025 09:30:00 UTC"
FOREVER = "Fri, 15 Nov 2999 09:30:00 UTC"

Files = dict[str, bytes]
"""Paths below an archive's address to what lies there."""


class Keys:
    """A GnuPG home of its own, and the fingerprints of the keys made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good = self._make("good")
        self.other = self._make("other")
        self.old = self._make("old", "20200101T000000!")

    def sign(self, text: bytes, *keys: str, at: str = "") -> bytes:
        """Return the text, clear-signed; `at` is when, as gpg's clock says."""
        users = [word for key in keys or (self.good,) for word in ("--local-user", key)]
        return self._gpg("--clearsign", "--digest-algo", "SHA256", *users, at=at, text=text)

    def export(self, *keys: str, armored: bool = False) -> bytes:
        """Return public keys."""
        return self._gpg(*(["--armor"] if armored else []), "--export", *keys)

    def _make(self, name: str, at: str = "") -> str:
        life = "1d" if at else "never"
        user = f"{name} <{name}@example.org>"
        said = self._gpg(
            "--status-fd", "1", "--quick-generate-key", user, "ed25519", "sign", life, at=at
        )
        return said.decode().split("KEY_CREATED P ")[1].split()[0]

    def _gpg(self, *words: str, at: str = "", text: bytes = b"") -> bytes:
        clock = ["--faked-system-time", at] if at else []
        done = subprocess.run(
            [
                *("gpg", "--homedir", str(self.folder), "--batch", "--yes", "--quiet"),
                *("--pinentry-mode", "loopback", "--passphrase", "", *clock, *words),
            ],
            input=text,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@contextmanager
def key_store() -> Iterator[Keys]:
    """Make the keys; their agent ends with the `with`."""
    # Not below pytest's own folder: the agent's socket must have a short path.
    with tempfile.TemporaryDirectory(prefix="gpg-") as name:
        try:
            yield Keys(Path(name))
        finally:
            subprocess.run(["gpgconf", "--homedir", name, "--kill", "all"], check=True)


COMPRESSIONS = ("", ".gz", ".xz", ".zst")


def compress(content: bytes, form: str) -> bytes:
    """Compress, by a file name's end."""
    if form == ".gz":
        return gzip.compress(content, mtime=0)
    if form == ".xz":
        return lzma.compress(content, preset=1)
    return zstandard.compress(content) if form == ".zst" else content


def ar(*members: tuple[str, bytes]) -> bytes:
    """Return an ar archive, as deb(5) describes it."""
    parts = [b"!<arch>\n"]
    for name, content in members:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
        parts += [header.encode(), content, b"\n" * (len(content) % 2)]
    return b"".join(parts)


def deb(data: bytes, form: str = ".xz") -> bytes:
    """Return a .deb file with that data.tar."""
    return ar(
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", compress(tar(), ".gz")),
        (f"data.tar{form}", compress(data, form)),
    )


def tar(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return a tar of members, as dpkg-deb writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as whole:
        for one in members:
            info, content = one if isinstance(one, tuple) else (one, b"")
            whole.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def folder(name: str) -> tarfile.TarInfo:
    """Return a folder's header."""
    return _member(f"./{name}/", type=tarfile.DIRTYPE, mode=0o755)


def file(name: str, content: bytes = b"", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """Return a file's header and content."""
    return _member(f"./{name}", size=len(content), mode=mode), content


def link(name: str, target: str) -> tarfile.TarInfo:
    """Return a symlink."""
    return _member(f"./{name}", type=tarfile.SYMTYPE, linkname=target, mode=0o777)


def hard_link(name: str, target: str) -> tarfile.TarInfo:
    """Return a hard link."""
    return _member(f"./{name}", type=tarfile.LNKTYPE, linkname=target)


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    """Return a device, pipe or the like."""
    return _member(f"./{name}", type=kind)


def _member(name: str, **values: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(info, key, value)
    return info


@dataclass
class Archive:
    """Packages, and the indexes that describe them."""

    components: dict[str, list[tuple[Mapping[str, str], bytes]]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        version: str = "1",
        *members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes],
        component: str = "main",
        form: str = ".xz",
        **fields: str,
    ) -> None:
        """Add a package; without members it holds one file of its own. `Pre_Depends` is a field."""
        mine = members or (file(f"usr/share/doc/{name}/copyright", f"{name} {version}".encode()),)
        content = deb(tar(*mine), form)
        architecture = fields.pop("Architecture", "amd64")
        number = version.rpartition(":")[2]
        place = f"pool/{component}/{name[0]}/{name}_{number}_{architecture}.deb"
        described = {
            "Package": name,
            "Version": version,
            "Architecture": architecture,
            "Maintainer": "A. Person <a@example.org>",
            **{key.replace("_", "-"): text for key, text in fields.items()},
            "Filename": place,
            "Size": str(len(content)),
            "SHA256": hashlib.sha256(content).hexdigest(),
            "Description": f"the package {name}\n of the tests\n .\n Package: none",
        }
        self.components.setdefault(component, []).append((described, content))

    def index(self, name: str = "tests") -> Index:
        """Return what `read_index` would return of it."""
        release = Release(name, DATE, "0" * 64, "0" * 40, {})
        return Index(release, b"", {one: self.packages(one) for one in self.components})

    def packages(self, component: str = "main") -> bytes:
        """Return the Packages index of a component."""
        return stanzas(fields for fields, _ in self.components.get(component, []))

    def files(
        self,
        keys: Keys,
        *signers: str,
        forms: tuple[str, ...] = ("", ".gz", ".xz"),
        at: str = "",
        **fields: str,
    ) -> Files:
        """Return all that a mirror of the archive has. `Valid_Until` is a field of InRelease."""
        found: Files = {}
        hashes = []
        for component in self.components:
            for form in forms:
                content = compress(self.packages(component), form)
                sha256 = hashlib.sha256(content).hexdigest()
                place = f"{component}/binary-amd64"
                found[f"dists/{SUITE}/{place}/Packages{form}"] = content
                found[f"dists/{SUITE}/{place}/by-hash/SHA256/{sha256}"] = content
                hashes.append(f"\n {sha256} {len(content):>8} {place}/Packages{form}")
            for described, content in self.components[component]:
                found[described["Filename"]] = content
        values = {
            "Origin": "Tests",
            "Suite": "stable",
            "Codename": SUITE,
            "Date": DATE,
            "Acquire-By-Hash": "yes",
            "Components": " ".join(self.components),
            **{key.replace("_", "-"): text for key, text in fields.items()},
            "SHA256": "".join(hashes),
        }
        text = "".join(f"{key}: {text}\n" for key, text in values.items() if text)
        found[f"dists/{SUITE}/InRelease"] = keys.sign(text.encode(), *signers, at=at)
        return found


INRELEASE = f"dists/{SUITE}/InRelease"
PACKAGES = f"dists/{SUITE}/main/binary-amd64/Packages"


def stanzas(packages: Any) -> bytes:
    """Return a Packages index."""
    return "".join(
        "".join(f"{key}: {text}\n" for key, text in fields.items()) + "\n" for fields in packages
    ).encode()


def serve(web: Server, files: Files, base: str = "/debian") -> str:
    """Have a web server answer with an archive's files. Returns the archive's address."""
    for path, content in files.items():
        web.add(f"{base}/{path}", Reply(content))
    return web.url + base


def lay_out(where: Path, files: Files) -> str:
    """Write an archive's files into a folder. Returns its address."""
    for path, content in files.items():
        place = where / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return where.as_uri()


def repository(keys: Keys, where: Path, url: str, *pinned: str, **more: Any) -> Repository:
    """Return a repository at an address; its key file, with all keys, is written to `where`."""
    path = where / "keys.gpg"
    if not path.exists():
        path.write_bytes(keys.export())
    values: dict[str, Any] = {"suite": SUITE, "components": ("main",), "url": url}
    values |= {"keys": pinned or (keys.good,), "key_url": path.as_uri()}
    return Repository(**(values | more))


def without(program: str, where: Path) -> str:
    """Return a PATH that lacks a program: links to all others."""
    where.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for one in Path(place).glob("*"):
            target = where / one.name
            if one.name != program and not os.path.lexists(target):
                target.symlink_to(one)
    return str(where)
