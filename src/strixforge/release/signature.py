"""The signature of a wheelhouse that is there: an envelope around its provenance, beside it."""

import tempfile
from pathlib import Path

from securesystemslib.signer._crypto_signer import CryptoSigner

from strixforge.attest.signing import sign
from strixforge.model.digests import file_sha256
from strixforge.release.sums import PROVENANCE, SIGNATURE, SUMS, read_sums, sha256sums


def is_signed(place: Path, by: CryptoSigner) -> bool:
    """Say whether a wheelhouse has the signature that this key makes. False where it has none."""
    try:
        found = (place / SIGNATURE).read_text(encoding="utf-8")
        return found == sign((place / PROVENANCE).read_bytes(), by)
    except (OSError, ValueError):
        return False


def sign_wheelhouse(place: Path, by: CryptoSigner) -> None:
    """Sign a wheelhouse, and take the signature up into its SHA256SUMS.

    The caller holds its lock. What was signed with another key is signed with this one alone then.
    """
    _write(place / SIGNATURE, sign((place / PROVENANCE).read_bytes(), by))
    digests = read_sums((place / SUMS).read_text(encoding="utf-8"))
    digests[SIGNATURE] = file_sha256(place / SIGNATURE)
    _write(place / SUMS, sha256sums(digests))


def _write(path: Path, text: str) -> None:
    # Beside the wheelhouse, as `collect` does: it sweeps away what a killed run leaves there.
    place = path.parent
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as folder:
        staged = Path(folder, path.name)
        staged.write_text(text, encoding="utf-8")
        staged.chmod(0o644)
        staged.replace(path)
