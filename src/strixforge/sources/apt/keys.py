"""Keyrings for gpgv: those that this machine has installed, or the key that a repository names.

Where a key comes from does not matter: its whole fingerprint is pinned.
"""

import base64
from pathlib import Path

from strixforge.model.errors import FetchError
from strixforge.model.repository import Repository
from strixforge.sources.http import read

_PLACES = ("/usr/share/keyrings", "/etc/apt/keyrings", "/etc/apt/trusted.gpg.d")
_MAX_KEY = 1 << 20  # bytes
_BEGIN, _END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"


def keyrings(repository: Repository, folder: Path) -> list[Path]:
    """Return keyring files in the binary form that gpgv reads; new ones are made in `folder`.

    Raises FetchError when there is none.
    """
    found: list[Path] = []
    if repository.key_url is not None:
        found.append(folder / "downloaded.gpg")
        key = read(repository.key_url, limit=_MAX_KEY, what="the key of a package archive")
        found[-1].write_bytes(_binary(key, repository.key_url))
        return found
    for place in _PLACES:
        found += sorted(path for path in Path(place).glob("*.gpg") if _is_keyring(path))
        for path in sorted(Path(place).glob("*.asc")):
            try:
                key = _binary(path.read_bytes(), str(path))
            except (OSError, FetchError):
                continue  # not ours to mend; another file may hold the key
            found.append(folder / f"{len(found)}.gpg")
            found[-1].write_bytes(key)
    if not found:
        raise FetchError(
            f"the keys of {repository.archive or repository.url} are not on this machine.",
            where=", ".join(_PLACES),
            cause="They come with a package of the distribution.",
            fix="Debian, Arch: install debian-archive-keyring    Fedora: debian-keyring    "
            "For Ubuntu's: ubuntu-keyring",
        )
    return found


def _is_keyring(path: Path) -> bool:
    """Say whether a file begins as a keyring does; gpgv gives up at one that does not.

    The first packet is a public key, tag 6 in the old form or the new (RFC 9580, 4.2), or the file
    is a keybox.
    """
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    return start[:1] in (b"\x98", b"\x99", b"\x9a", b"\xc6") or start[8:] == b"KBXf"


def _binary(key: bytes, place: str) -> bytes:
    """Return the keys of a file without their ASCII armor; what stands between them is left out."""
    if _BEGIN.encode() not in key:
        return key
    try:
        blocks = key.decode("ascii", "replace").replace("\r", "").split(_BEGIN)[1:]
        return b"".join(map(_unarmored, blocks))
    except (IndexError, ValueError):
        raise FetchError(
            "the key of a package archive cannot be read.",
            where=place,
            fix="It must be an OpenPGP key, binary or in ASCII armor.",
        ) from None


def _unarmored(block: str) -> bytes:
    """Return the bytes of one block, from after its first line; headers end at an empty line."""
    lines = block.split(_END, 1)[0].split("\n\n", 1)[1].split("\n")
    return base64.b64decode("".join(one for one in lines if not one.startswith("=")), validate=True)
