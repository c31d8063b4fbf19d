"""policy.toml: what is refused or warned about, each rule with its reason and sources."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec
from packaging.version import InvalidVersion, Version

from strixforge.model.errors import DataError
from strixforge.model.loading import convert, read_toml

Product = Literal["rocm", "therock", "hip"]
PRODUCTS: tuple[Product, ...] = ("rocm", "therock", "hip")


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


class _RawPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: list[Any]


def load_policy(path: Path) -> tuple[Rule, ...]:
    """Read policy.toml. Raises DataError naming the rule and key of a fault."""
    raw = convert(read_toml(path), _RawPolicy, file=path, key="")
    rules: list[Rule] = []
    for number, entry in enumerate(raw.rule, 1):
        label = entry.get("id", f"number {number}") if isinstance(entry, dict) else number
        key = f"rule ({label})"
        rule = convert(entry, Rule, file=path, key=key)
        if any(rule.id == other.id for other in rules):
            raise DataError(f"two rules are named '{rule.id}'.", where=f"{path}: {key}.id")
        for release in rule.releases:
            try:
                Version(release)
            except InvalidVersion:
                raise DataError(
                    f"'{release}' is not a release number.", where=f"{path}: {key}.releases"
                ) from None
        rules.append(rule)
    return tuple(rules)


_NUMBER = r"v?(?P<release>\d+(?:\.\d+)+)"
# "7.0.1", "7.0.1-42", "7.0.1rc20250901", "7.0.1.dev0+abc", "rocm-7.0.1"
_WRITTEN = re.compile(rf"(?:(?:rocm|therock|hip)[-_ ]?)?{_NUMBER}(?!\d)", re.IGNORECASE)
# File or folder names that carry the number of the product itself, not of a part of it:
# rocm-6.4.4, rocm-rel-6.4.4, therock-dist-linux-gfx1151-10.0.0, rocm_sdk_core-7.13.0a20260513.
_NAMED = re.compile(
    rf"(?P<product>rocm|therock|hip)(?:[-_](?:dist|linux|windows|rel|sdk|core|devel|libraries"
    rf"|device|multiarch|gfx\w+?))*[-_]?{_NUMBER}(?!\d)",
    re.IGNORECASE,
)
# The local part of a wheel's version: torch-2.8.0+rocm6.4.4.gitc1404424
_LOCAL = re.compile(rf"\+(?P<product>rocm|therock)[-_.]?{_NUMBER}(?!\d)", re.IGNORECASE)
_BARE = re.compile(rf"{_NUMBER}(?!\d).*", re.IGNORECASE)


def release_of(version: str) -> Version | None:
    """Return the release number of a toolchain version as it is written, or None."""
    match = _WRITTEN.match(version.strip())
    return Version(match["release"]) if match else None


def versions_in_location(location: str) -> Iterator[tuple[Product, str]]:
    """Yield (product, version) for each ROCm, TheRock or HIP version that a URL or path shows.

    A number belongs to a product when the same name holds both (rocm-6.4.4), as the local part of
    a wheel's version (+rocm6.4.4), or as a folder of its own below one that is named after the
    product (rocm/apt/6.4.4). A wheel foo-7.0.1 shows no toolchain, wherever it lies.
    """
    parts = [unquote(part) for part in urlsplit(location).path.split("/") if part]
    below: Product | None = None
    for part in parts:
        for pattern in (_NAMED.match(part), *_LOCAL.finditer(part)):
            if pattern:
                yield _product(pattern["product"]), pattern["release"]
        bare = _BARE.fullmatch(part)
        if bare and below:
            yield below, bare["release"]
        if part.lower() in PRODUCTS:
            below = _product(part)


def _product(text: str) -> Product:
    lowered = text.lower()
    for product in PRODUCTS:
        if lowered == product:
            return product
    raise ValueError(text)  # the patterns above allow no other
