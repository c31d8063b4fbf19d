"""The [check] table: what a source, a configured build and an output must be."""

import re
from pathlib import Path
from typing import Annotated

import msgspec

_Pattern = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?!(.*/)?\.\.(/|\Z))[^/\x00-\x1f][^\x00-\x1f]*\Z",
        description="Write it as it is below its folder: cmake/utils.cmake.",
    ),
]


def is_pattern(text: str) -> bool:
    """Say whether a text can be searched for below a folder: `**.cmake` cannot."""
    try:
        list(Path("/nonexistent").glob(text))
    except (ValueError, IndexError):
        return False
    return True


class SourceCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that must, or must not, be in the prepared source."""

    file: _Pattern
    """A path of the source, or a shell pattern: all files that match are read as one."""
    why: str
    """What would happen otherwise, for the person who reads the refusal."""
    has: str = ""
    """A regular expression that must be found; ^ and $ match at lines."""
    lacks: str = ""
    """One that must not be found."""

    def unfit(self) -> str:
        """Return why this is no check, or nothing."""
        if bool(self.has) == bool(self.lacks):
            return "a check of the source has either `has` or `lacks`."
        if not is_pattern(self.file):
            return f"'{self.file}' is no pattern of files."
        try:
            re.compile(self.has or self.lacks, re.MULTILINE)
        except re.error as error:
            return f"'{self.has or self.lacks}' is no regular expression: {error}."
        return ""


class Hollow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kernels that do nothing on the target, as upstream wrote them."""

    kernels: str
    """A regular expression of their whole names, as the code object has them: mangled."""
    why: str

    def unfit(self) -> str:
        """Return why this is no pattern, or nothing."""
        try:
            re.compile(self.kernels)
        except re.error as error:
            return f"'{self.kernels}' is no regular expression: {error}."
        return ""


class ConfigureCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What CMake must have made of the options."""

    folder: str
    """The build folder: where CMakeCache.txt is."""
    cache: dict[str, str] = {}
    """Entries that the cache must have with these values, beside those of build.cmake."""
    offload_arch: tuple[_Pattern, ...] = ()
    """Files below the folder whose --offload-arch must name the stack's target and no other."""


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is checked of one component."""

    paths: tuple[str, ...] = ()
    code_objects: bool = False
    same: dict[str, _Pattern] = {}
    """Files of the output that must be, byte by byte, those of a need: `aotriton/lib/libx.so`."""
    source: tuple[SourceCheck, ...] = ()
    configure: ConfigureCheck | None = None
    hollow: tuple[Hollow, ...] = ()

    def joined(self, other: "Check") -> "Check":
        """Return these checks and another table's."""
        return Check(
            paths=(*self.paths, *other.paths),
            code_objects=self.code_objects or other.code_objects,
            same={**self.same, **other.same},
            source=(*self.source, *other.source),
            configure=other.configure or self.configure,
            hollow=(*self.hollow, *other.hollow),
        )
