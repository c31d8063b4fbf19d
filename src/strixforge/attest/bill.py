"""CycloneDX bills of materials: one for the wheelhouse, and one inside each built wheel (PEP 770).

They follow from what they describe alone: no time, and a serial number made from the content.
What only made a part is a component of scope `excluded`: it is not in what is installed.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import (
    Component,
    ComponentScope,
    ComponentType,
    Diff,
    Patch,
    PatchClassification,
    Pedigree,
)
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from strixforge.attest.materials import Material

NAME = "strixforge.cdx.json"
"""The bill inside a wheel, in .dist-info/sboms; PEP 770."""
_SPACE = uuid.uuid5(uuid.NAMESPACE_OID, "strixforge")
_MADE_WITH = ("tool", "component", "root")


@dataclass(frozen=True, slots=True)
class Part:
    """A wheel or a prefix."""

    name: str
    version: str
    purl_type: str
    """`pypi` for a wheel, `generic` for a prefix."""
    licence: str = ""
    """An SPDX expression, or a name; empty where nothing states it."""
    file: str = ""
    """Its path in the wheelhouse. The bill inside a wheel has neither this nor the next."""
    sha256: str = ""
    component: str = ""
    """What was built to it; empty for a wheel of the index."""
    key: str = ""
    """What it was built under in the store."""
    materials: tuple[Material, ...] = ()
    requires: tuple[str, ...] = ()
    """Other parts that it asks for, by `ref`."""

    @property
    def ref(self) -> str:
        """Return its package URL, which names it in a bill."""
        return PackageURL(self.purl_type, None, self.name, self.version).to_string()


def bill_of_part(part: Part) -> str:
    """Return the bill that lies inside a wheel: itself, and what it was made from."""
    part = replace(part, file="", sha256="", requires=())
    return _text(_component(part), _made_with(part, {}))


def bill_of_all(name: str, version: str, parts: Iterable[Part]) -> str:
    """Return the bill of a wheelhouse."""
    parts = list(parts)
    shipped = {part.component: part.ref for part in parts if part.component}
    made = {part.ref: _component(part) for part in parts}
    needs = {part.ref: set(part.requires) for part in parts}
    for part in parts:
        tools = _made_with(part, shipped)
        made = tools | made
        needs[part.ref] |= tools.keys()
    top = Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=name)
    return _text(top, made, {**needs, name: {part.ref for part in parts}})


def _text(
    top: Component, components: Mapping[str, Component], needs: Mapping[str, set[str]] | None = None
) -> str:
    """Return a bill as JSON; without `needs`, `top` needs all others."""
    bom = Bom()
    # No clock in a bill. The library writes none for None; its setter is typed for a time alone.
    bom.metadata.timestamp = None  # type: ignore[assignment]  # None leaves the time out
    bom.metadata.component = top
    bom.components.update(components.values())
    known = {**components, str(top.bom_ref): top}
    for ref, others in (needs or {str(top.bom_ref): set(components)}).items():
        bom.register_dependency(known[ref], [known[one] for one in sorted(others)])
    bom.serial_number = uuid.UUID(int=0)
    content = JsonV1Dot6(bom).output_as_string(indent=1)
    bom.serial_number = uuid.uuid5(_SPACE, content)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _made_with(part: Part, shipped: Mapping[str, str]) -> dict[str, Component]:
    """Return what made a part; `shipped` maps components to the parts that they are."""
    made = {}
    for one in part.materials:
        if one.kind not in _MADE_WITH:
            continue
        purl = _purl(one)
        ref = shipped.get(one.name, purl.to_string()) if one.kind == "component" else str(purl)
        made[ref] = _other(one, purl, ComponentScope.EXCLUDED)
    return made


def _component(part: Part) -> Component:
    sources = [_other(one, _purl(one)) for one in part.materials if one.kind == "source"]
    patches = [
        Patch(type=PatchClassification.UNOFFICIAL, diff=Diff(url=XsUri(one.uri)))
        for one in part.materials
        if one.kind == "patch"
    ]
    told = {"component": part.component, "file": part.file, "key": part.key}
    told |= {
        f"{one.kind}:{one.uri}": one.digests["sha256"]
        for one in part.materials
        if one.kind in ("patch", "requirements")
    }
    return Component(
        name=part.name,
        version=part.version,
        type=ComponentType.LIBRARY,
        bom_ref=part.ref,
        purl=PackageURL.from_string(part.ref),
        hashes=_hashes(part.sha256),
        licenses=[LicenseFactory().make_from_string(part.licence)] if part.licence else [],
        pedigree=Pedigree(ancestors=sources, patches=patches) if sources else None,
        properties=[
            Property(name=f"strixforge:{name}", value=text) for name, text in told.items() if text
        ],
    )


def _other(one: Material, purl: PackageURL, scope: ComponentScope | None = None) -> Component:
    """Return a source, or what made a part."""
    return Component(
        name=one.name,
        version=one.version or None,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string() if scope else None,
        purl=purl,
        scope=scope,
        hashes=_hashes(one.digests.get("sha256", "")),
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.VCS
                if "gitCommit" in one.digests
                else ExternalReferenceType.SOURCE_DISTRIBUTION,
                url=XsUri(one.uri),
                comment=one.digests.get("gitCommit"),
            )
        ]
        if one.kind == "source"
        else [],
    )


def _purl(one: Material) -> PackageURL:
    """Return a package URL; a commit is named as purl's `vcs_url` has it."""
    if one.uri.startswith("pkg:"):
        return PackageURL.from_string(one.uri)
    commit = one.digests.get("gitCommit")
    qualifiers = {"vcs_url": f"{one.uri}@{commit}"} if commit else None
    return PackageURL("generic", None, one.name, one.version or None, qualifiers)


def _hashes(sha256: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []
