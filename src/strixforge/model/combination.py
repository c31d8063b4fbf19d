"""[[combination]] of policy.toml: what is known of pins, kernel and firmware together."""

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from strixforge.model import conditions
from strixforge.model.errors import DataError
from strixforge.model.loading import convert

Verdict = Literal["refuse", "warn", "degraded", "good"]
_Day = Annotated[
    str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}\Z", description="Write a date as 2027-05-23.")
]


class Combination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One verdict on a combination, with its evidence."""

    id: str
    verdict: Verdict
    confidence: Literal["A", "B", "C"]
    """A: two independent projects, or a fix of upstream's. B: one project. C: one user."""
    reason: str
    sources: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    expires: _Day
    """The day after which it must be looked at again; it does not refuse any more then."""
    pins: tuple[str, ...] = ()
    """Conditions on the stack's pins, all of which must hold."""
    gpu: str = ""
    """LLVM's name of the GPU that is built for."""
    kernel: tuple[str, ...] = ()
    """Specifiers of the running kernel's release, all of which must hold."""
    kernel_exports: str = ""
    """The property that the kernel's KFD node has."""
    kernel_lacks: str = ""
    """The property that it has not."""
    mes_firmware: tuple[int, ...] = ()
    """Versions of the MES firmware, one of which is loaded."""

    @property
    def asks_host(self) -> bool:
        """Say whether it speaks of the machine that runs what is built."""
        return bool(self.kernel or self.kernel_exports or self.kernel_lacks or self.mes_firmware)

    def expired(self, today: dt.date) -> bool:
        """Say whether it must be looked at again."""
        return today > dt.date.fromisoformat(self.expires)

    def fits_stack(self, versions: Mapping[str, str], arch: str) -> bool:
        """Say whether pins and target are those that it speaks of."""
        return (not self.gpu or self.gpu == arch) and conditions.holds(self.pins, versions)

    def fits_kernel(self, release: str) -> bool:
        """Say whether a kernel's release number is one of its own: 6.17.0 of 6.17.0-22-generic."""
        number = re.match(r"[0-9]+(\.[0-9]+)*", release)
        return number is not None and all(
            SpecifierSet(one).contains(number[0]) for one in self.kernel
        )


def load_combinations(entries: list[Any], path: Path) -> tuple[Combination, ...]:
    """Read them. Raises DataError naming the entry and key of a fault."""
    found: list[Combination] = []
    for number, entry in enumerate(entries, 1):
        label = entry.get("id", f"number {number}") if isinstance(entry, dict) else number
        key = f"combination ({label})"
        one: Combination = convert(entry, Combination, file=path, key=key)
        _check(one, [other.id for other in found], f"{path}: {key}")
        found.append(one)
    return tuple(found)


def _check(one: Combination, others: list[str], where: str) -> None:
    """Raise DataError for what a pattern cannot say."""
    if one.id in others:
        raise DataError(
            f"two combinations are named '{one.id}'.", where=f"{where}.id", fix="Rename one."
        )
    if one.verdict == "refuse" and one.confidence != "A":
        raise DataError(
            f"evidence of confidence {one.confidence} does not refuse.",
            where=f"{where}.verdict",
            cause="One project, or one user, may have met something else.",
            fix='Write verdict = "warn", or find a second independent source.',
        )
    if not one.pins and not one.asks_host:
        raise DataError(
            "the combination speaks of everything.",
            where=where,
            fix="Say which pins, kernel or firmware it is about.",
        )
    for text in one.pins:
        if reason := conditions.unfit(text):
            raise DataError(reason, where=f"{where}.pins", fix="Write them as pytorch>=2.12.")
    for specifier in one.kernel:
        try:
            SpecifierSet(specifier)
        except InvalidSpecifier:
            raise DataError(
                f"'{specifier}' is not a specifier.",
                where=f"{where}.kernel",
                fix="Write it as <6.18.4 or >=7.0,<7.0.1.",
            ) from None
    try:
        dt.date.fromisoformat(one.expires)
    except ValueError:
        raise DataError(f"'{one.expires}' is no day.", where=f"{where}.expires") from None
