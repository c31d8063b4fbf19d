"""Patch files: a DEP-3 header, then a unified diff.

DEP-3 is Debian's patch tagging guideline; Applies-To is ours: requirements on pins, separated by
semicolons, all of which must hold for the patch to be used.
"""

import email.message
import email.parser
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
from packaging.version import Version

from strixforge.model import conditions
from strixforge.model.errors import DataError, IntegrityError, UnpinnedError
from strixforge.model.loading import nearest
from strixforge.model.pins import UNRESOLVED

_REQUIRED = ("Description", "Author", "Last-Update", "Applies-To")
_ALLOWED = (*_REQUIRED, "Forwarded", "Origin", "Applied-Upstream", "Bug", "Reviewed-By")
_DIFF_START = re.compile(rb"^(diff --git |--- )", re.MULTILINE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

Use = Literal["apply", "other", "upstream"]
_Fault = Callable[..., DataError]


class Patch(msgspec.Struct, frozen=True):
    """One patch of a component."""

    path: Path
    description: str
    applies_to: tuple[str, ...]
    applied_upstream: str
    """The version of the component that has the change, or empty."""
    digest: str
    """sha256 of the diff without its header: what the patch does, not what it says."""
    sha256: str
    """sha256 of the whole file, as the lock has it."""

    def names(self) -> set[str]:
        """Return the components that Applies-To speaks of."""
        return conditions.names(self.applies_to)

    def use(self, component: str, versions: dict[str, str]) -> Use:
        """Say whether to apply: "other" fits other pins, "upstream" is in the source already.

        `versions` maps the stack's components to their pinned versions.
        """
        if self.applied_upstream and Version(versions[component]) >= Version(self.applied_upstream):
            return "upstream"
        if not conditions.holds(self.applies_to, versions):
            return "other"
        return "apply"


def require_locked(patch: Patch, component: str, locked: dict[str, str], *, lock: Path) -> None:
    """Check a patch against the lock's [patches]. Raises UnpinnedError or IntegrityError."""
    name = f"{component}/{patch.path.name}"
    wanted = locked.get(name, UNRESOLVED)
    if wanted == UNRESOLVED:
        raise UnpinnedError(
            f"the patch {name} is not in the lock; nothing unpinned is built.",
            where=f"{lock}: patches",
            cause="It is new, or was renamed.",
            fix="Read it, then: ./doit lock",
        )
    if wanted != patch.sha256:
        raise IntegrityError(
            f"the patch {name} has changed since it was locked.",
            where=str(patch.path),
            cause=f"Its sha256 is {patch.sha256}, the lock says {wanted}.",
            fix=f"Take the old one back: git checkout '{patch.path}'\n"
            "If the change is meant, read it, then: ./doit lock",
        )


def load_patches(folder: Path) -> tuple[Patch, ...]:
    """Read all patches of one component, in order of their names. An absent folder has none."""
    if not folder.is_dir():
        return ()
    return tuple(_load(path) for path in sorted(folder.glob("*.patch")))


def _load(path: Path) -> Patch:
    def fault(what: str, key: str, fix: str = "") -> DataError:
        return DataError(what, where=f"{path}: {key}", fix=fix)

    if not re.fullmatch(r"\d{4}-[a-z0-9][a-z0-9.+-]*\.patch", path.name):
        raise fault("a patch is named NNNN-name.patch.", "file name", "Rename it: 0001-what.patch.")
    content = path.read_bytes()
    start = _DIFF_START.search(content)
    if start is None:
        raise fault("the patch has no diff.", "text", "Append the output of `git diff`.")
    try:
        text = content[: start.start()].decode()
    except UnicodeDecodeError:
        raise fault("the header is not UTF-8.", "text", "Save it as UTF-8.") from None
    header = email.parser.Parser().parsestr(text, headersonly=True)
    _check_header(header, fault)
    return Patch(
        path=path,
        description=header["Description"].strip().splitlines()[0],
        applies_to=_requirements(header["Applies-To"], fault),
        applied_upstream=_version(header.get("Applied-Upstream", "").strip(), fault),
        digest=hashlib.sha256(content[start.start() :]).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _check_header(header: email.message.Message, fault: _Fault) -> None:
    """Raise DataError for an unknown, missing or malformed field."""
    for name in header:
        if name not in _ALLOWED:
            raise fault(f"unknown header field '{name}'.", name, nearest(name, _ALLOWED))
        if len(header.get_all(name, [])) > 1:
            raise fault(f"the header has {name} twice.", name, "Join the two into one field.")
    for name in _REQUIRED:
        if not header.get(name, "").strip():
            raise fault(
                f"the header lacks {name}.", name, "DEP-3 headers: docs/reference/patches.md"
            )
    if not (header.get("Forwarded") or header.get("Origin")):
        raise fault("the header says neither Forwarded nor Origin.", "Forwarded", "Forwarded: no")
    if not _DATE.fullmatch(header["Last-Update"].strip()):
        raise fault("Last-Update is not a date.", "Last-Update", "Write YYYY-MM-DD.")


def _requirements(text: str, fault: _Fault) -> tuple[str, ...]:
    fix = "Write a component and its versions, such as vllm>=0.10,<0.11.1."
    parts = tuple(part.strip() for part in text.split(";") if part.strip())
    if not parts:
        raise fault("Applies-To names no component.", "Applies-To", fix)
    for part in parts:
        if reason := conditions.unfit(part):
            raise fault(reason, "Applies-To", fix)
    return parts


def _version(text: str, fault: _Fault) -> str:
    if text:
        try:
            Version(text)
        except ValueError:
            raise fault(
                f"'{text}' is not a version.",
                "Applied-Upstream",
                "Name the first release that has the change, such as 0.11.1.",
            ) from None
    return text
