"""sha256 of files, and of documents through their one canonical JSON text."""

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical(document: Any) -> bytes:
    """Return the one JSON text of a document: sorted keys, no spaces, UTF-8.

    File names may hold bytes that are no UTF-8; json.loads reads them back as they were.
    """
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogatepass")


def document_digest(document: Any) -> str:
    """Return the sha256 of a document's canonical JSON, as hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
