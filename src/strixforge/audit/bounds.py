"""Limits on hostile input: reads stay inside their buffer, unpacked bytes inside a budget."""

from dataclasses import dataclass
from typing import Self


class MalformedError(Exception):
    """Data that breaks its own format or one of our limits; the text says how.

    Internal to `strixforge.audit`: `codeobjects.scan` turns it into an `Unreadable`.
    """


def part(data: memoryview, offset: int, size: int, what: str) -> memoryview:
    """Return `size` bytes of `data` from byte `offset`, without copying.

    Raises `MalformedError` when any of them lies outside: a plain slice would be cut short.
    """
    if offset < 0 or size < 0 or offset + size > len(data):
        raise MalformedError(
            f"{what} needs bytes {offset} to {offset + size}, only {len(data)} are there"
        )
    return data[offset : offset + size]


@dataclass(slots=True)
class Budget:
    """What may be spent on one file."""

    left: int
    """Bytes that may still be unpacked, from zip members and compressed bundles."""
    archs: tuple[str, ...] = ()
    """The targets whose kernels are read; empty for all."""

    @classmethod
    def for_file(cls, size: int, archs: tuple[str, ...] = ()) -> Self:
        """Return the budget of one scanned file of `size` bytes.

        256 MiB and 200 times the file. Device code packs 3 to 40 times smaller, deflate's and
        zstd's worst cases are above 1,000, so bombs end here and the work stays linear.
        """
        return cls((256 << 20) + 200 * size, archs)

    def take(self, count: int, what: str) -> None:
        """Take `count` bytes out of the budget; raises `MalformedError` when it is used up."""
        self.left -= count
        if self.left < 0:
            raise MalformedError(f"{what} unpacks to far more than the file that holds it")
