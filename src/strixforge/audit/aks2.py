"""AOTriton's packs of kernels, `.aks2`: a directory and code objects in one xz stream.

Source: ROCm/aotriton, v3python/aks2.py at commit 53ae79141c6740aa5a99ea52d7c68fe147578a7e: the text
AKS2, three 32-bit numbers (bytes when unpacked, kernels, bytes of the directory), then the stream.
A directory entry is five 32-bit numbers (shared memory, threads, offset, size, bytes of the name)
and the name; offsets count from the end of the directory. A size of 0 is a kernel that AOTriton
left out, such as one for an argument that the target does not support.
"""

import lzma
import struct
from collections.abc import Iterator

from strixforge.audit.bounds import Budget, MalformedError, part

MAGIC = b"AKS2"
_HEADER = struct.Struct("<4sIII")
_ENTRY = struct.Struct("<IIIII")


def members(data: memoryview, budget: Budget) -> Iterator[tuple[str, memoryview]]:
    """Yield name and image of each kernel in a pack; those that were left out are passed over.

    Unpacked bytes are taken from `budget`. Raises `MalformedError`.
    """
    _, size, count, directory = _HEADER.unpack(part(data, 0, _HEADER.size, "the pack's header"))
    budget.take(size, "a pack of kernels")
    unpacked = _unpack(data[_HEADER.size :], size)
    if directory > size:
        raise MalformedError(f"a directory of {directory} bytes in a pack of {size}")
    at = 0
    left = size - directory
    for number in range(count):
        what = f"entry {number} of the pack's directory"
        _, _, offset, length, name_length = _ENTRY.unpack(part(unpacked, at, _ENTRY.size, what))
        name = part(unpacked, at + _ENTRY.size, name_length, what)
        at += _ENTRY.size + name_length
        if at > directory:
            raise MalformedError(f"{what} lies outside of the directory")
        left -= length
        if left < 0:
            raise MalformedError("the kernels of the pack overlap")
        if length:
            text = bytes(name).split(b"\0", 1)[0].decode("utf-8", "replace")
            yield text, part(unpacked, directory + offset, length, f"kernel {number} of the pack")


def _unpack(data: memoryview, size: int) -> memoryview:
    """Return the unpacked stream, which must be of `size` bytes."""
    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=512 << 20)
    try:
        unpacked = decompressor.decompress(data, max_length=size + 1)
    except (lzma.LZMAError, EOFError) as error:
        raise MalformedError(f"the pack's xz stream cannot be read: {error}") from None
    if len(unpacked) != size or not decompressor.eof:
        raise MalformedError(f"the pack says {size} bytes, and its stream has another length")
    return memoryview(unpacked)
