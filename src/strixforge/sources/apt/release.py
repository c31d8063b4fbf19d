"""An archive's signed index: InRelease by gpgv and a pinned key, Packages by its hash in there.

gpgv and not a library: the key that signs AMD's repositories is bound by SHA-1 signatures of 2016,
which Sequoia refuses (ROCm/legacy-rocm-build issues 5232 and 5619). The whole fingerprint is
pinned, so nothing hangs on those.
"""

import gzip
import hashlib
import io
import lzma
import re
import shutil
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from debian.deb822 import Deb822

from strixforge.model.errors import FetchError, HostError, IntegrityError
from strixforge.model.packages import Release
from strixforge.model.repository import Repository
from strixforge.sources.apt.keys import keyrings
from strixforge.sources.http import MissingFileError, read, without_secrets

_ENTRY = re.compile(r" *(?P<sha256>[0-9a-f]{64}) +(?P<size>[0-9]{1,12}) +(?P<path>\S+)")
_MAX_RELEASE = 16 << 20  # bytes; sid's is 0.2 MB
_MAX_PACKAGES = 1 << 30
_FORMS = (".xz", ".gz", "")


@dataclass(frozen=True, slots=True)
class Index:
    """A verified suite: what it says of itself, and its packages."""

    release: Release
    inrelease: bytes
    packages: dict[str, bytes]
    """Component of the archive to its Packages index, unpacked."""


def read_index(name: str, repository: Repository, address: str, *, allow_expired: bool) -> Index:
    """Download and verify the indexes of one repository at one address.

    Raises FetchError, IntegrityError for a wrong signature, hash or an expired index, and
    HostError without gpgv or the key.
    """
    url = f"{address}/dists/{repository.suite}/InRelease"
    inrelease = read(url, limit=_MAX_RELEASE, what=f"the index of {name}")
    text, signer = _verified(inrelease, repository, url)
    fields = Deb822(text)
    _check_validity(fields, repository, url, allow_expired=allow_expired)
    hashes = {
        match["path"]: (match["sha256"], int(match["size"]))
        for line in fields.get("SHA256", "").splitlines()
        if (match := _ENTRY.fullmatch(line))
    }
    packages = {
        component: _packages(component, hashes, fields, f"{address}/dists/{repository.suite}")
        for component in repository.components
    }
    release = Release(
        repository=name,
        date=fields.get("Date", ""),
        inrelease=hashlib.sha256(inrelease).hexdigest(),
        signed_by=signer,
        packages={one: hashlib.sha256(content).hexdigest() for one, content in packages.items()},
    )
    return Index(release, inrelease, packages)


def _verified(inrelease: bytes, repository: Repository, url: str) -> tuple[str, str]:
    """Return the text that was signed, and the fingerprint of the pinned key that signed it."""
    if shutil.which("gpgv") is None:
        raise HostError(
            "gpgv is not installed.",
            where=without_secrets(url),
            cause="It checks the signature of the index.",
            fix="Debian, Ubuntu: apt install gpgv    Fedora: dnf install gnupg2    "
            "Arch: pacman -S gnupg",
        )
    with tempfile.TemporaryDirectory() as folder:
        signed, plain = Path(folder, "InRelease"), Path(folder, "Release")
        signed.write_bytes(inrelease)
        rings = keyrings(repository, Path(folder))
        done = subprocess.run(
            [
                *("gpgv", "--homedir", folder, "--status-fd", "1", "--output", str(plain)),
                *(word for ring in rings for word in ("--keyring", str(ring))),
                str(signed),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        good = []
        for signature in done.stdout.split("[GNUPG:] NEWSIG")[1:]:
            valid = re.search(r"^\[GNUPG:\] VALIDSIG .* ([0-9A-F]{40})$", signature, re.MULTILINE)
            if valid and "[GNUPG:] GOODSIG " in signature:  # not EXPKEYSIG, not REVKEYSIG
                good.append(valid[1])
        # One signature by a pinned key is enough; gpgv's exit code wants all keys to be known.
        signer = next((key for key in repository.keys if key in good), None)
        if signer is None or not plain.is_file():
            raise _not_signed(repository, url, good, done.stdout)
        return plain.read_text(encoding="utf-8", errors="replace"), signer


def _not_signed(repository: Repository, url: str, good: list[str], status: str) -> IntegrityError:
    words = {
        "BADSIG": "a signature that does not fit: the file was altered",
        "EXPKEYSIG": "a signature of an expired key,",
        "REVKEYSIG": "a signature of a revoked key,",
        "NO_PUBKEY": "a signature of a key that this machine does not have,",
    }
    found = [f"a good signature of another key, {key}" for key in good]
    for word, key in re.findall(r"^\[GNUPG:\] ([A-Z_]+) ([0-9A-F]+)", status, re.MULTILINE):
        if word in words:
            found.append(f"{words[word]} {key}" if words[word].endswith(",") else words[word])
    found = list(dict.fromkeys(found))
    return IntegrityError(
        "the index of a package archive is not signed by its pinned key.",
        where=without_secrets(url),
        cause=f"Pinned: {', '.join(repository.keys)}. Found: {'; '.join(found) or 'no signature'}.",
        fix="Do not use this mirror. If the archive has a new key, take its fingerprint from the "
        "archive's own announcement.",
    )


def _check_validity(
    fields: Deb822, repository: Repository, url: str, *, allow_expired: bool
) -> None:
    """Raise IntegrityError for an index past its Valid-Until, or of another suite."""
    names = (fields.get("Suite", ""), fields.get("Codename", ""))
    if repository.suite.split("/")[-1] not in names and any(names):
        raise IntegrityError(
            f"the index is that of {' or '.join(filter(None, names))}, not of {repository.suite}.",
            where=without_secrets(url),
            cause="The mirror is mixed up, or somebody hands out another suite's signed index.",
            fix="Use another mirror, or mend the suite of the repository.",
        )
    until = fields.get("Valid-Until", "").strip()
    if not until or allow_expired:
        return
    try:
        expired = parsedate_to_datetime(until).astimezone(UTC) < datetime.now(UTC)
    except ValueError:
        expired = True
    if expired:
        raise IntegrityError(
            f"the index of {repository.suite} has expired.",
            where=without_secrets(url),
            cause=f"It was valid until {until}: the mirror is stale, or holds back newer packages.",
            fix="Use another mirror (mirror=ADDRESS), or accept it in the stack with its reason: "
            'allow-expired = "…"',
        )


def _packages(
    component: str, hashes: dict[str, tuple[str, int]], fields: Deb822, folder: str
) -> bytes:
    """Return one component's Packages index for amd64, unpacked."""
    base = f"{component}/binary-amd64/Packages"
    form = next((form for form in _FORMS if base + form in hashes), None)
    if form is None:
        raise FetchError(
            f"the archive has no packages for amd64 in '{component}'.",
            where=without_secrets(f"{folder}/InRelease"),
            fix="Mend `components` of the repository.",
        )
    path = base + form
    sha256, size = hashes[path]
    what = f"the packages of {folder.rsplit('/', 1)[-1]} {component}"
    by_hash = f"{path.rsplit('/', 1)[0]}/by-hash/SHA256/{sha256}"
    try:
        # Under its hash a file stays while the mirror is renewed.
        first = by_hash if fields.get("Acquire-By-Hash", "").strip() == "yes" else path
        content = read(f"{folder}/{first}", limit=size, what=what)
    except MissingFileError:
        content = read(f"{folder}/{path}", limit=size, what=what)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise IntegrityError(
            f"{what} are not those of the signed index.",
            where=without_secrets(f"{folder}/{path}"),
            cause="The mirror is being renewed just now, or somebody changed the file.",
            fix="Try again in some minutes, or use another mirror: mirror=ADDRESS",
        )
    return _unpacked(content, form, f"{folder}/{path}")


def _unpacked(content: bytes, form: str, url: str) -> bytes:
    """Return a whole index. Raises IntegrityError for one that is damaged or cut off."""
    if not form:
        return content
    parts: list[bytes] = []
    size = 0
    try:
        with (lzma.open if form == ".xz" else gzip.open)(io.BytesIO(content)) as file:
            while part := file.read(1 << 20):
                size += len(part)
                if size > _MAX_PACKAGES:
                    raise IntegrityError(
                        "the index is larger than any real one.", where=without_secrets(url)
                    )
                parts.append(part)
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise IntegrityError(
            f"the index cannot be unpacked: {str(error).rstrip('.')}.", where=without_secrets(url)
        ) from None
    return b"".join(parts)
