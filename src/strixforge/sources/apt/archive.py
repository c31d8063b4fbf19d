"""The packages that verified indexes offer: candidates by name, and who provides a name."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec
from debian.deb822 import Deb822
from debian.debian_support import NativeVersion

from strixforge.model.errors import FetchError
from strixforge.model.packages import Package
from strixforge.sources.apt.release import Index

_NAME = re.compile(rb"^Package: *(\S+)", re.MULTILINE)
_PROVIDES = re.compile(rb"^Provides: *(.+)", re.MULTILINE)
_PROVIDED = re.compile(r"\s*([a-z0-9][a-z0-9+.-]+)(?::\w+)?\s*(?:\(\s*=\s*(\S+?)\s*\))?\s*")


class Stanza:
    """One package of an index; its fields are parsed when first asked for."""

    def __init__(self, repository: str, text: bytes) -> None:
        """Keep the text of a Packages stanza."""
        self.repository = repository
        self._text = text
        self._fields: Mapping[str, str] | None = None

    def field(self, name: str) -> str:
        """Return a field's text, empty when it is not there."""
        if self._fields is None:
            self._fields = Deb822(self._text.decode("utf-8", "replace"))
        return str(self._fields.get(name, ""))

    @property
    def version(self) -> NativeVersion:
        """Version, in the order of deb-version(7). Raises FetchError for one that is none."""
        return parsed(self.field("Version"))


def parsed(version: str) -> NativeVersion:
    """Return a version that can be compared. Raises FetchError."""
    try:
        return NativeVersion(version)
    except ValueError:
        raise FetchError(
            f"an index has '{version}' where the version of a package must stand.",
            fix="Use another repository, or report it to the archive.",
        ) from None


class Archive:
    """All packages of some repositories; of each name the newest version is the candidate."""

    def __init__(self, indexes: Iterable[Index]) -> None:
        """Look for names only; a suite has seventy thousand packages."""
        self._stanzas: dict[str, list[Stanza]] = defaultdict(list)
        self._provided: dict[str, list[tuple[str, str, Stanza]]] = defaultdict(list)
        self._candidates: dict[str, Stanza] = {}
        for index in indexes:
            for packages in index.packages.values():
                for text in packages.split(b"\n\n"):
                    self._add(index.release.repository, text)

    def _add(self, repository: str, text: bytes) -> None:
        name = _NAME.search(text)
        if name is None:
            return
        stanza = Stanza(repository, text)
        package = name[1].decode("utf-8", "replace")
        self._stanzas[package].append(stanza)
        provides = _PROVIDES.search(text)
        for one in provides[1].decode("utf-8", "replace").split(",") if provides else ():
            if match := _PROVIDED.fullmatch(one):
                self._provided[match[1]].append((package, match[2] or "", stanza))

    def candidate(self, name: str) -> Stanza | None:
        """Return the newest version of a package, or None."""
        if name not in self._candidates and name in self._stanzas:
            self._candidates[name] = max(self._stanzas[name], key=lambda one: one.version)
        return self._candidates.get(name)

    def versions(self, name: str) -> dict[str, Stanza]:
        """Return every version of a package that the repositories have."""
        return {one.field("Version"): one for one in self._stanzas.get(name, ())}

    def providers(self, name: str) -> list[tuple[str, str]]:
        """Return (package, provided version or nothing) of the candidates that provide a name."""
        return [
            (package, version)
            for package, version, stanza in self._provided.get(name, ())
            if self.candidate(package) is stanza
        ]

    def package(self, name: str, version: str = "") -> Package:
        """Return a package as it goes into the lock: the candidate, or the version given.

        Raises FetchError when the index does not describe it wholly.
        """
        known = self._stanzas.get(name, [])
        stanza = next((one for one in known if one.field("Version") == version), None)
        if not version:
            stanza = self.candidate(name)
        if stanza is None:
            raise FetchError(
                f"no repository of the pin has {' '.join(filter(None, (name, version)))}.",
                fix="Mend `packages` or `repositories` of the pin.",
            )
        size = stanza.field("Size")
        described = {
            "name": name,
            "version": stanza.field("Version"),
            "architecture": stanza.field("Architecture"),
            "repository": stanza.repository,
            "path": stanza.field("Filename"),
            "size": int(size) if size.isdecimal() else 0,
            "sha256": stanza.field("SHA256"),
        }
        try:
            return msgspec.convert(described, Package)
        except msgspec.ValidationError as error:
            raise FetchError(
                f"the index of {stanza.repository} does not describe {name} wholly: {error}.",
                fix="Use another repository, or report it to the archive.",
            ) from None
