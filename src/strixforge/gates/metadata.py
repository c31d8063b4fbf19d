"""The metadata of a wheel."""

import zipfile
import zlib
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path

from strixforge.model.errors import GateError

_LARGEST = 8 << 20  # real ones have some ten thousand bytes; they hold a README


def read_metadata(wheel: Path) -> Message:
    """Return the fields of METADATA. Raises GateError for a wheel that cannot be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            (member,) = [
                one
                for one in archive.infolist()
                if one.filename.endswith(".dist-info/METADATA") and one.filename.count("/") == 1
            ]
            with archive.open(member) as file:
                return BytesHeaderParser().parsebytes(file.read(_LARGEST))
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise GateError(f"{wheel.name} cannot be read: {error}", where=str(wheel)) from None
