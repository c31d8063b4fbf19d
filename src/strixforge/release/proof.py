"""What a wheelhouse proves of itself: its bytes, bills, provenance and signature agree.

Everything in it comes from elsewhere and is read as data alone. Without a key that the reader
trusts all of it could be made by anybody; with one, nothing of it can.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from securesystemslib.signer._key import SSlibKey

from strixforge.attest import bill, provenance, signing
from strixforge.model.errors import IntegrityError
from strixforge.release.carried import Carried, changed
from strixforge.release.sums import BILL, PROVENANCE, SIGNATURE, SUMS, read_sums, sha256sums

_MANIFEST = "manifest.json"
_LARGEST = 64 << 20  # bytes of JSON; that of a whole stack has some hundred thousand


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found to agree."""

    stack: str
    arch: str
    files: int
    components: int
    """In the bill of the wheelhouse."""
    bills: int
    """Wheels with a bill of their own."""
    materials: int
    """Sources, patches, tools and components that the provenance names."""
    signed_by: tuple[str, ...]
    """Names of keys that the signature claims; none where it is not signed."""
    trusted: bool
    """Whether the key that the reader trusts has signed it."""


class _Origin(msgspec.Struct):
    built: str = ""


class _File(msgspec.Struct):
    path: str
    sha256: str
    origin: _Origin


class _Manifest(msgspec.Struct):
    stack: str
    arch: str
    inputs: str
    files: list[_File]


class _Named(msgspec.Struct):
    name: str
    digest: dict[str, str]


class _Dependency(msgspec.Struct):
    name: str
    uri: str
    digest: dict[str, str] = {}


class _Definition(msgspec.Struct, rename="camel"):
    build_type: str
    resolved_dependencies: list[_Dependency]


class _Predicate(msgspec.Struct, rename="camel"):
    build_definition: _Definition


class _Statement(msgspec.Struct, rename="camel"):
    subject: list[_Named]
    predicate_type: str
    predicate: _Predicate
    type: str = msgspec.field(name="_type")


class _Hash(msgspec.Struct):
    alg: str
    content: str


class _Property(msgspec.Struct):
    name: str
    value: str


class _Reference(msgspec.Struct):
    url: str
    comment: str = ""


class _Source(msgspec.Struct, rename="camel"):
    name: str
    hashes: list[_Hash] = []
    external_references: list[_Reference] = []


class _Pedigree(msgspec.Struct):
    ancestors: list[_Source] = []
    patches: list[Any] = []


class _Component(msgspec.Struct):
    name: str
    version: str = ""
    purl: str = ""
    hashes: list[_Hash] = []
    licenses: list[Any] = []
    pedigree: _Pedigree | None = None
    properties: list[_Property] = []

    def told(self, name: str) -> str:
        """Return a property that strixforge has given it, or nothing."""
        found = (one.value for one in self.properties if one.name == f"strixforge:{name}")
        return next(found, "")

    def alone(self) -> "_Component":
        """Return what its own bill can say of it, too: it does not know its file."""
        rest = [one for one in self.properties if one.name != "strixforge:file"]
        return msgspec.structs.replace(self, hashes=[], properties=rest)

    def sources(self) -> Iterator[str]:
        """Yield the digests and commits of what it was made from."""
        for one in self.pedigree.ancestors if self.pedigree else ():
            yield from (digest.content for digest in one.hashes)
            yield from (other.comment for other in one.external_references if other.comment)
        for told in self.properties:
            if told.name.startswith("strixforge:patch:"):
                yield told.value


class _Metadata(msgspec.Struct):
    component: _Component


class _Bill(msgspec.Struct):
    metadata: _Metadata
    components: list[_Component] = []


_T = TypeVar("_T")


def prove(house: Carried, trusted: SSlibKey | None) -> Proof:
    """Compare all that a wheelhouse says of itself.

    Raises IntegrityError for the first thing that does not agree, or is not signed with the key.
    """
    digests = house.digests()
    _sums(house, digests)
    manifest = _read(house, _MANIFEST, _Manifest)
    listed = {one.path: one.sha256 for one in manifest.files}
    _manifest(house, listed, digests)
    stated = _statement(house, {**listed, _MANIFEST: digests[_MANIFEST]})
    components, bills = _bills(house, manifest, stated)
    signed_by = _signature(house, digests, trusted)
    return Proof(
        stack=manifest.stack,
        arch=manifest.arch,
        files=len(digests),
        components=components,
        bills=bills,
        materials=len(stated.predicate.build_definition.resolved_dependencies),
        signed_by=signed_by,
        trusted=trusted is not None,
    )


def _sums(house: Carried, digests: Mapping[str, str]) -> None:
    if SUMS not in digests:
        raise changed(house.where, f"{SUMS} is missing.")
    try:
        with house.open(SUMS) as file:
            text = file.read(_LARGEST).decode()
        wanted = read_sums(text)
    except ValueError:
        raise changed(house.where, f"{SUMS} was changed: it cannot be read.") from None
    for name in sorted(wanted.keys() | digests.keys() - {SUMS}):
        if name not in digests:
            raise changed(house.where, f"{name} is missing, or {SUMS} was changed.")
        if name not in wanted:
            raise changed(house.where, f"{name} is not among the files of {SUMS}.")
        if digests[name] != wanted[name]:
            raise changed(house.where, f"{name} was changed: it is not as {SUMS} says.")
    if text != sha256sums(wanted):
        raise changed(house.where, f"{SUMS} was changed: it is not sorted.")


def _manifest(house: Carried, listed: Mapping[str, str], digests: Mapping[str, str]) -> None:
    others = {SUMS, _MANIFEST, PROVENANCE, SIGNATURE}
    for name in sorted(listed.keys() ^ (digests.keys() - others)):
        raise changed(house.where, f"{name} is not in both {_MANIFEST} and the wheelhouse.")
    for name, digest in listed.items():
        if digests[name] != digest:
            raise changed(house.where, f"{name} is not as {_MANIFEST} says.")


def _statement(house: Carried, files: Mapping[str, str]) -> _Statement:
    stated = _read(house, PROVENANCE, _Statement)
    definition = stated.predicate.build_definition
    kinds = (stated.type, stated.predicate_type, definition.build_type)
    if kinds != (provenance.STATEMENT, provenance.PREDICATE, provenance.BUILD_TYPE):
        raise changed(house.where, f"{PROVENANCE} is a statement of another kind.")
    about = {one.name: one.digest.get("sha256", "") for one in stated.subject}
    for name, _ in sorted(about.items() ^ files.items()):
        raise changed(house.where, f"{PROVENANCE} is not about {name} as it is here.")
    return stated


def _bills(house: Carried, manifest: _Manifest, stated: _Statement) -> tuple[int, int]:
    """Compare the bills; return how many components there are, and how many bills in wheels."""
    whole = _read(house, BILL, _Bill)
    parts = {one.told("file"): one for one in whole.components if one.told("file")}
    files = {one.path: one for one in manifest.files if one.path.endswith((".whl", ".tar"))}
    for path in sorted(files.keys() ^ parts.keys()):
        raise changed(house.where, f"{path} is not in both {BILL} and the wheelhouse.")
    known = {
        digest
        for one in stated.predicate.build_definition.resolved_dependencies
        for digest in one.digest.values()
    }
    bills = 0
    for path, file in files.items():
        part = parts[path]
        hashes = [one.content for one in part.hashes]
        if hashes != [file.sha256] or part.told("component") != file.origin.built:
            raise changed(house.where, f"{BILL} is not about {path} as it is here.")
        if not {*part.sources()} <= known:
            raise changed(house.where, f"{PROVENANCE} does not name the source of {path}.")
        inner = _inner(house, path)
        if inner is None:
            continue
        bills += 1
        if inner.metadata.component.alone() != part.alone():
            raise changed(house.where, f"the bill inside {path} is not what {BILL} says of it.")
    return len(whole.components), bills


def _inner(house: Carried, path: str) -> _Bill | None:
    """Return the bill inside a wheel, if it has one of ours."""
    if not path.endswith(".whl"):
        return None
    try:
        with house.open(path) as file, zipfile.ZipFile(file) as wheel:
            names = [
                one
                for one in wheel.infolist()
                if one.filename.endswith(f".dist-info/sboms/{bill.NAME}")
                and one.filename.count("/") == 2  # as PEP 770 has it
            ]
            if not names:
                return None
            with wheel.open(names[0]) as member:
                text = member.read(_LARGEST)
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise changed(house.where, f"{path} cannot be read.", cause=f"{error}") from None
    return _decoded(house, text, f"the bill inside {path}", _Bill)


def _signature(
    house: Carried, digests: Mapping[str, str], trusted: SSlibKey | None
) -> tuple[str, ...]:
    if SIGNATURE not in digests:
        if trusted is not None:
            raise IntegrityError(
                "it is not signed.",
                where=str(house.where),
                cause=f"There is no {SIGNATURE} in it: nobody vouches for it, or that was taken "
                "out.",
                fix="Ask whoever made it to sign it: ./doit sign_with=KEY bundle",
            )
        return ()
    where = f"{house.where}: {SIGNATURE}"
    with house.open(SIGNATURE) as file:
        envelope = signing.read_envelope(file.read(_LARGEST), where=where)
    with house.open(PROVENANCE) as file:
        if file.read(_LARGEST) != envelope.payload:
            raise changed(house.where, f"{SIGNATURE} is not about {PROVENANCE}.")
    if trusted is not None:
        signing.check(envelope, trusted, where=where)
    return tuple(signing.key_ids(envelope))


def _read(house: Carried, path: str, kind: type[_T]) -> _T:
    try:
        with house.open(path) as file:
            text = file.read(_LARGEST)
    except (OSError, KeyError):
        raise changed(house.where, f"{path} is missing.") from None
    return _decoded(house, text, path, kind)


def _decoded(house: Carried, text: bytes, what: str, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise changed(house.where, f"{what} cannot be read.", cause=f"{error}") from None
