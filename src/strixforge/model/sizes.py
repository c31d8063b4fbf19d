"""Sizes as people write them: 512 MiB, 2 GiB."""

import re
from typing import Annotated

import msgspec

Size = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})? [KMGT]iB\Z",
        description="Write a number and a unit, such as 2 GiB.",
    ),
]

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?) (?P<unit>[KMGT])iB")
_POWER = {"K": 1, "M": 2, "G": 3, "T": 4}


def size_bytes(text: str) -> int:
    """Return a size in bytes, at least 1."""
    match = _SIZE.fullmatch(text)
    if match is None:  # pragma: no cover - the pattern above has been checked on loading
        raise ValueError(text)
    return max(1, int(float(match["number"]) * 1024 ** _POWER[match["unit"]]))


def size_text(number: int) -> str:
    """Return bytes in words: 1.5 GiB."""
    for unit in ("K", "M", "G"):
        if number < 1024 ** (_POWER[unit] + 1):
            return f"{number / 1024 ** _POWER[unit]:.3g} {unit}iB"
    return f"{number / 1024**4:.3g} TiB"
