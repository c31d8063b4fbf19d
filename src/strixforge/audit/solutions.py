"""Tensile's tables of solutions, `.dat`: msgpack, which names the kernels beside it.

They hold no device code. Damaged ones leave a library without kernels when it runs.
"""

import mmap
import re
from typing import IO

import msgspec

_NAME = re.compile(r"(^|[/!])(TensileLibrary|hipblaslt|rocblas)[^/!]*\.dat$|/library/[^/!]*\.dat$")
_MAPS = (*range(0x80, 0x90), 0xDE, 0xDF)
_DECODER = msgspec.msgpack.Decoder(dict[str | int, msgspec.Raw])


def is_named_so(name: str) -> bool:
    """Say whether a file is named as a table of solutions."""
    return _NAME.search(name) is not None


def fault(stream: IO[bytes], head: bytes) -> str:
    """Return why an open file is no table of solutions, or nothing."""
    if not head or head[0] not in _MAPS:
        return "named as a table of Tensile's solutions, and is no msgpack map"
    try:
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _DECODER.decode(data)
    except (OSError, ValueError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"a table of Tensile's solutions that cannot be read: {error}"
    return ""
