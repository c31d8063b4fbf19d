"""policy.toml: what is refused or warned about, each rule with its reason and sources."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import unquote

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from strixforge.model.combination import Combination, load_combinations
from strixforge.model.errors import DataError
from strixforge.model.kernel_limits import KernelLimits
from strixforge.model.loading import convert, read_toml
from strixforge.model.unreproducible import Unreproducible, load_unreproducible

Product = Literal["rocm", "therock", "hip"]
PRODUCTS: tuple[Product, ...] = ("rocm", "therock", "hip")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place where a toolchain version shows itself."""

    product: str
    version: str
    place: str
    cure: str = ""
    """What to type instead, where it is known."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One verdict on releases of a toolchain product."""

    id: str
    verdict: Literal["refuse", "warn"]
    products: Annotated[tuple[Product, ...], msgspec.Meta(min_length=1)]
    releases: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Release numbers; a build number, pre-release or local part after them still matches."""
    reason: str
    sources: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]

    def matches(self, product: str, version: str) -> bool:
        """Say whether `version`, as written anywhere, is one of the rule's releases."""
        release = release_of(version)
        return product in self.products and any(release == Version(one) for one in self.releases)


class HostRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One verdict on a toolchain where it will run on the GPU of this machine."""

    id: str
    verdict: Literal["refuse", "warn"]
    gpu: str
    """LLVM's name of the GPU: gfx1151."""
    reason: str
    sources: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    releases: tuple[str, ...] = ()
    """Specifiers of ROCm releases (PEP 440), one of which must fit; empty for all."""
    kernel_exports: str = ""
    """The property that the kernel's KFD node has."""
    kernel_lacks: str = ""
    """The property that it has not."""
    mes_firmware: tuple[int, ...] = ()
    """Versions of the MES firmware, one of which is loaded."""
    stack: str = ""
    """The stack to use instead, where the lock has it."""

    def fits(self, version: str) -> bool:
        """Say whether a toolchain's release is one of the rule's."""
        release = release_of(version)
        if release is None:
            return False
        return not self.releases or any(release in SpecifierSet(one) for one in self.releases)


class Rules(NamedTuple):
    """All of policy.toml."""

    releases: tuple[Rule, ...]
    hosts: tuple[HostRule, ...]
    combinations: tuple[Combination, ...]
    unreproducible: tuple[Unreproducible, ...] = ()
    kernels: KernelLimits = KernelLimits()
    release_kernels: KernelLimits = KernelLimits()
    """The same for a release that is used as it came."""


class _RawPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: list[Any]
    host: list[Any] = []
    combination: list[Any] = []
    unreproducible: list[Any] = []
    kernels: Any = {}
    release_kernels: Any = {}


def load_policy(path: Path) -> Rules:
    """Read policy.toml. Raises DataError naming the rule and key of a fault."""
    raw = convert(read_toml(path), _RawPolicy, file=path, key="")
    return Rules(
        _load_rules(raw.rule, path),
        _load_hosts(raw.host, path),
        load_combinations(raw.combination, path),
        load_unreproducible(raw.unreproducible, path),
        convert(raw.kernels, KernelLimits, file=path, key="kernels"),
        convert(raw.release_kernels, KernelLimits, file=path, key="release_kernels"),
    )


def _load_hosts(entries: list[Any], path: Path) -> tuple[HostRule, ...]:
    rules: list[HostRule] = []
    for number, entry in enumerate(entries, 1):
        label = entry.get("id", f"number {number}") if isinstance(entry, dict) else number
        rule = convert(entry, HostRule, file=path, key=f"host ({label})")
        if any(rule.id == other.id for other in rules):
            raise _named_twice(rule.id, f"{path}: host ({label}).id")
        for specifier in rule.releases:
            try:
                SpecifierSet(specifier)
            except InvalidSpecifier:
                raise DataError(
                    f"'{specifier}' is not a specifier.",
                    where=f"{path}: host ({label}).releases",
                    fix="Write it as for a requirement: <7.2 or ==7.9.*",
                ) from None
        rules.append(rule)
    return tuple(rules)


def _named_twice(name: str, where: str) -> DataError:
    return DataError(
        f"two rules are named '{name}'.", where=where, fix="Give one of them another id."
    )


def _load_rules(entries: list[Any], path: Path) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for number, entry in enumerate(entries, 1):
        label = entry.get("id", f"number {number}") if isinstance(entry, dict) else number
        key = f"rule ({label})"
        rule = convert(entry, Rule, file=path, key=key)
        if any(rule.id == other.id for other in rules):
            raise _named_twice(rule.id, f"{path}: {key}.id")
        for release in rule.releases:
            try:
                Version(release)
            except ValueError:
                raise DataError(
                    f"'{release}' is not a release number.",
                    where=f"{path}: {key}.releases",
                    fix="Write the number alone, such as 7.0.1.",
                ) from None
        rules.append(rule)
    return tuple(rules)


_NUMBER = r"v?(?P<release>[0-9]{1,9}(?:\.[0-9]{1,9})+)(?![0-9])"
_FLAGS = re.IGNORECASE | re.ASCII
# As people and files write it: 7.0.1, 7.0.1-42, 7.0.1rc20250901, rocm-7.0.1, 1:7.0.1.70001-42.
_WRITTEN = re.compile(rf"(?:[0-9]+[!:])?(?:(?:amd)?(?:rocm|therock|hip)[-_. ]?)?{_NUMBER}", _FLAGS)
# File or folder names that carry the number of the product itself, not of a part of it:
# rocm-6.4.4, rocm-rel-6.4.4, therock-dist-linux-gfx1151-10.0.0, rocm_sdk_core-7.13.0a20260513.
_NAMED = re.compile(
    r"(?:amd)?(?P<product>rocm|therock|hip)(?:[-_](?:dist|linux|windows|rel|release|meta|sdk|core"
    r"|dev|devel|libraries|device|runtime|multiarch|gfx\w+?|dcgpu|dgpu|all|tests|asan))*"
    rf"[-_. ]?{_NUMBER}",
    _FLAGS,
)
# The local part of a wheel's version: torch-2.8.0+rocm6.4.4.gitc1404424, 3.4.0+git1234-rocm6.4.4
_LOCAL = re.compile(rf"\+(?:[\w.-]*?[._-]|dev)?(?P<product>rocm|therock)[-_.]?{_NUMBER}", _FLAGS)
# AMD's packages of ROCm 6.4.4 end in 60404: rocm-llvm_19.0.0.25224.60404-129~22.04_amd64.deb
_PACKED = re.compile(
    r"[0-9]+\.(?:[0-9]+\.)+([0-9]{1,2})([0-9]{2})([0-9]{2})-[0-9]+(?![0-9]).*\.(?:deb|rpm|run)",
    _FLAGS,
)
_BARE = re.compile(rf"(?:(?:core|rel)[-_])?{_NUMBER}.*", _FLAGS)
# Folders whose numbers are those of a product: repo.radeon.com's amdgpu folders are named after
# the ROCm release that they belong to.
_FOLDERS: dict[str, Product] = {
    "rocm": "rocm",
    "amdrocm": "rocm",
    "amdgpu": "rocm",
    "amdgpu-install": "rocm",
    "therock": "therock",
    "hip": "hip",
}
# Folders that may stand between a product's folder and its number. Any other names a part.
_BETWEEN = re.compile(
    r"apt|yum|zypp|deb|rpm|(?:el|rhel|sle|ubuntu|debian)[0-9.]*|(?:tarball|packages)[a-z-]*|core"
    r"|manylinux|installer|archive|refs|tags|heads|releases?|download|tree|stable|nightly|rc|dev"
)


def release_of(version: str) -> Version | None:
    """Return the release of a toolchain version as it is written: its first three numbers."""
    match = _WRITTEN.match(version.strip("\ufeff \t\r\n\"'"))
    return Version(".".join(match["release"].split(".")[:3])) if match else None


def versions_in_location(location: str) -> Iterator[tuple[Product, str]]:
    """Yield (product, version) for each ROCm, TheRock or HIP version that a URL or path shows.

    A number belongs to a product when the same name holds both (rocm-6.4.4), as the local part of
    a wheel's version (+rocm6.4.4), or as a folder of its own below one that is named after the
    product (rocm/apt/6.4.4). A wheel foo-7.0.1 shows no toolchain, wherever it lies.
    """
    path = re.sub(r"^\w+://[^/]*", "", unquote(location))
    below: Product | None = None
    for part in filter(None, re.split(r"[/?&=#;]", path)):
        for match in (_NAMED.match(part), *_LOCAL.finditer(part)):
            if match:
                yield _FOLDERS[match["product"].lower()], match["release"]
        if packed := _PACKED.search(part):
            yield "rocm", ".".join(str(int(number)) for number in packed.groups())
        bare = _BARE.fullmatch(part)
        if bare and below:
            yield below, bare["release"]
        lowered = part.lower()
        if not _BETWEEN.fullmatch(lowered):
            below = _FOLDERS.get(lowered)
