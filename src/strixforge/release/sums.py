"""SHA256SUMS: every file of a wheelhouse by its hash, for `sha256sum -c`."""

from collections.abc import Mapping

SUMS = "SHA256SUMS"
BILL = "sbom.cdx.json"
PROVENANCE = "provenance.json"
SIGNATURE = "provenance.dsse.json"
"""PROVENANCE and SIGNATURE are about manifest.json, so that does not name them; SHA256SUMS does."""


def sha256sums(files: Mapping[str, str]) -> str:
    """Return the text, which follows from paths and digests alone.

    install.py makes the same of manifest.json and the provenance, and compares.
    """
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))


def read_sums(text: str) -> dict[str, str]:
    """Return the digest of each path. Raises ValueError for a line that is none of ours."""
    return {path: digest for digest, path in (line.split("  ", 1) for line in text.splitlines())}
