"""Signatures: DSSE envelopes, made and checked with Ed25519 keys that the user owns.

Ed25519 alone, because its signatures follow from key and content: signing twice gives equal bytes.
Source: secure-systems-lab/dsse, protocol.md and envelope.md; RFC 8032.
"""

import json
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, VerificationError
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import SSlibKey

from strixforge.attest.provenance import PAYLOAD_TYPE
from strixforge.model.errors import IntegrityError, UsageError

_MAKE = (
    "openssl genpkey -algorithm ed25519 -out strixforge.key\n"
    "openssl pkey -in strixforge.key -pubout -out strixforge.pub"
)


def signer(path: Path) -> CryptoSigner:
    """Return what signs with a private key in PEM. Raises UsageError for another file."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key("sign_with", path, f"{error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key("sign_with", path, "It is a key of another kind.")
    return CryptoSigner(key)


def public_key(path: Path) -> SSlibKey:
    """Return a public key in PEM. Raises UsageError for another file."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key("signed_by", path, f"{error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key("signed_by", path, "It is a key of another kind.")
    return SSlibKey.from_crypto(key)


def _no_key(variable: str, path: Path, why: str) -> UsageError:
    what = "a private Ed25519 key in PEM, without a passphrase"
    if variable == "signed_by":
        what = "a public Ed25519 key in PEM"
    return UsageError(
        f"that file is not {what}.",
        where=f"{variable}={path}",
        cause=why.splitlines()[0],
        fix=f"Make a pair, and keep the first file to yourself:\n{_MAKE}",
    )


def sign(payload: bytes, by: CryptoSigner) -> str:
    """Return the envelope around a statement, as JSON."""
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(by)
    return _text(envelope)


def _text(envelope: Envelope) -> str:
    return json.dumps(envelope.to_dict(), indent=1, sort_keys=True) + "\n"


def read_envelope(text: bytes, *, where: str) -> Envelope:
    """Return an envelope. Raises IntegrityError for a text that is not as `sign` writes it."""
    unread = IntegrityError("the signature cannot be read.", where=where)
    try:
        envelope = Envelope.from_dict(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, FormatError):
        raise unread from None
    # base64 has more than one text for some bytes.
    if _text(envelope).encode() != text or envelope.payload_type != PAYLOAD_TYPE:
        raise unread
    return envelope


def key_ids(envelope: Envelope) -> list[str]:
    """Return the names of the keys that an envelope says it is signed with."""
    return sorted(envelope.signatures)


def check(envelope: Envelope, key: SSlibKey, *, where: str) -> None:
    """Raise IntegrityError where the content is not signed with a key."""
    try:
        envelope.verify([key], 1)
    except VerificationError:
        raise IntegrityError(
            "it is not signed with that key.",
            where=where,
            cause=f"It is signed with {', '.join(key_ids(envelope))}; the key is {key.keyid}.",
            fix="Ask whoever gave you the bundle for it again, and for their public key, on "
            "another way.",
        ) from None
