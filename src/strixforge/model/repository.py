"""Package repositories in the form that apt reads: [repository.<name>] tables of toolchain.lock."""

from typing import Annotated, Literal

import msgspec

from strixforge.model.pins import Web

Fingerprint = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9A-F]{40}\Z",
        description="Write the whole fingerprint: 40 hexadecimal digits, in capitals.",
    ),
]
_Path = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?!(.*/)?\.\.?(/|\Z))[A-Za-z0-9][A-Za-z0-9._/-]*\Z",
        description="Write it as in sources.list, such as trixie or main.",
    ),
]


class Repository(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One suite of one archive, and who may sign it."""

    suite: _Path
    components: Annotated[tuple[_Path, ...], msgspec.Meta(min_length=1)]
    keys: Annotated[tuple[Fingerprint, ...], msgspec.Meta(min_length=1)]
    """Fingerprints of primary keys; a signature by one of them is enough."""
    archive: Literal["debian", "ubuntu", ""] = ""
    """An archive with mirrors: this machine's apt knows one, or the variable mirror= names it."""
    url: Web | None = None
    """The address of one that has no mirrors."""
    key_url: Web | None = None
    """Where its key is, for machines that have not installed it; the fingerprint decides."""
    note: str = ""
    """Where the values were read, and how sure they are."""
