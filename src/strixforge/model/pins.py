"""Pins: for each component the exact source it is made from, one type a kind of source."""

from typing import Annotated, TypeAlias

import msgspec
from packaging.version import Version

from strixforge.model.errors import UnpinnedError


def _form(pattern: str, description: str) -> msgspec.Meta:
    """A text of that form; errors show the description."""
    return msgspec.Meta(pattern=pattern, description=description)


Name = Annotated[
    str, _form(r"^[a-z][a-z0-9_]*\Z", "Write small letters, digits and underscores, such as vllm.")
]
Sha256 = Annotated[
    str, _form(r"^([0-9a-f]{64}|unresolved)\Z", "Write 64 hexadecimal digits, in small letters.")
]
Commit = Annotated[
    str, _form(r"^([0-9a-f]{40}|unresolved)\Z", "Write a commit: 40 hexadecimal digits, no tag.")
]
Label = Annotated[
    str, _form(r"^[a-z][a-z0-9._-]*\Z", "Write small letters, digits, dots, hyphens: rocm-6.4.4.")
]
"""The name of a stack or a repository."""
_Project = Annotated[
    str,
    _form(r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z", "Write a project name, such as vllm."),
]
Web = Annotated[
    str, _form(r"^(https?|file)://[^\s\x00-\x1f]+\Z", "Write an https, http or file address.")
]
_Remote = Annotated[
    str, _form(r"^[^-\s\x00-\x1f][^\s\x00-\x1f]*\Z", "Write the address that `git clone` takes.")
]
_Path = Annotated[str, _form(r"^[^\x00-\x1f]+\Z", "Write a folder of this repository.")]
_Package = Annotated[
    str, _form(r"^[a-z0-9][a-z0-9+.-]+\Z", "Write the name of a Debian package, such as hipcc.")
]
_Folder = Annotated[
    str,
    _form(r"^(?!(.*/)?\.\.?(/|\Z))[^/\x00-\x1f][^\x00-\x1f]*\Z", "Write it as opt/rocm-6.4.4."),
]
_Member = Annotated[
    str,
    _form(r"^[^/\x00-\x1f][^\x00-\x1f]*\Z", "Write a pattern of paths, such as torch/include/*."),
]
_Minor = Annotated[str, _form(r"^3\.[0-9]{1,2}\Z", "Write major and minor version, such as 3.13.")]
_Word = Annotated[str, _form(r"^\S+\Z", "Write a version without spaces, such as 6.4.4.")]
# Zip archives know no date before 1980 and none after 2107, so another cannot be kept in a wheel.
Epoch = Annotated[int, msgspec.Meta(ge=315532800, le=4354819198)]

UNRESOLVED = "unresolved"
RESERVED = frozenset(
    (
        *(
            "arch",
            "beside",
            "build",
            "cache",
            "channel",
            "cmake",
            "compare",
            "env",
            "fit",
            "host",
            "jobs",
            "mirror",
            "only",
            "path",
            "out",
            "release",
            "root",
        ),
        *(
            "sandbox",
            "sign_with",
            "signed_by",
            "source",
            "src",
            "stack",
            "store",
            "target",
            "then",
            "unattended",
            "wheelhouse",
        ),
    )
)
"""Names that the command line and templates give a meaning to; no component may have one."""


class _Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    component: Name
    version: _Word
    epoch: Epoch
    """SOURCE_DATE_EPOCH of the build, seconds since 1970, UTC."""
    note: str = ""
    """Where the values of this pin were read, and how sure they are."""


class GitPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="git"):
    """One commit of a git repository; submodules at the commits that it records."""

    url: _Remote
    commit: Commit = UNRESOLVED
    ref: str = ""
    """The tag or branch that the commit was read from; for people, never fetched."""
    submodules: bool = True


class ArchivePin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="archive"):
    """One archive, known by its bytes: tar (gz, bz2, xz, zst) or zip."""

    url: Web
    also: tuple[Web, ...] = ()
    """Other addresses of the same bytes, tried in this order: hosts move, and prune."""
    sha256: Sha256 = UNRESOLVED
    only: tuple[_Member, ...] = ()
    """Unpack only the members that match; `*` also matches `/`. All where there is none."""


class IndexPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="index"):
    """One file of the machine's package index: an sdist, or a wheel whose files are read."""

    name: _Project
    sha256: Sha256 = UNRESOLVED
    only: tuple[_Member, ...] = ()
    """Unpack only the members that match; `*` also matches `/`. All where there is none."""


class LocalPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="local"):
    """A folder of this repository: its git-tracked files as they are in the work tree."""

    path: _Path


class AptPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="apt"):
    """Debian packages and all that they depend on, by the hash of their list in locks/apt/."""

    repositories: Annotated[tuple[Label, ...], msgspec.Meta(min_length=1)]
    """Names of [repository.<name>] tables; the newest version in any of them is taken."""
    packages: Annotated[tuple[_Package, ...], msgspec.Meta(min_length=1)]
    """What is wanted; `doit lock` finds what that depends on."""
    alone: tuple[_Package, ...] = ()
    """Packages that are taken without what they depend on: headers of libraries not linked to."""
    python: _Minor | None = None
    """The Python of a root that builds use, where it is not the one of the package python3."""
    folder: _Folder | None = None
    """Take only this folder of the packages, as a prefix: opt/rocm-6.4.4. Else a whole root."""
    sha256: Sha256 = UNRESOLVED
    """Of the list: every package's name, version, architecture and sha256."""


class SystemPin(_Pin, frozen=True, forbid_unknown_fields=True, tag_field="source", tag="system"):
    """The ROCm that the root has already: the host's own, or one among the root's packages."""

    path: Annotated[str, _form(r"^(/[^\x00-\x1f]*)?\Z", "Write a folder, such as /opt/rocm.")] = ""
    """Its folder; without it ROCM_PATH tells, else /opt/rocm."""


Pin: TypeAlias = GitPin | ArchivePin | IndexPin | LocalPin | AptPin | SystemPin


def require_pinned(pin: Pin, *, where: str) -> None:
    """Raise UnpinnedError when the hash or commit of `pin` is missing."""
    locked = isinstance(pin, AptPin | ArchivePin) or bool(getattr(pin, "ref", ""))
    for field in ("sha256", "commit"):
        if getattr(pin, field, "") == UNRESOLVED:
            raise UnpinnedError(
                f"{pin.component} {pin.version} has no {field}; nothing unpinned is built.",
                where=where,
                cause="The lock entry leaves it out, or says 'unresolved'.",
                fix="./doit lock    (computes it; read what it says of it)"
                if locked
                else f'Add {field} = "…" to that entry, from a source you trust.',
            )


def same_version(one: str, other: str) -> bool:
    """Compare two versions by PEP 440; text that is no version equals only itself."""
    try:
        return Version(one) == Version(other)
    except ValueError:
        return one == other
