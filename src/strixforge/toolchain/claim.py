"""Holds the release that a pin names against the one that the toolchain's own files claim."""

from pathlib import Path

from packaging.version import InvalidVersion, Version

from strixforge.model.errors import GateError
from strixforge.model.policy import Evidence, release_of
from strixforge.toolchain import identity
from strixforge.toolchain.facts import Facts


def check_claim(folder: Path, component: str, pinned: str) -> list[str]:
    """Return warnings where a claim fits the pin but not wholly.

    Raises GateError when a file claims another release, or none says what the toolchain is.
    """
    found = identity.versions(folder)
    rocm = [one for one in found if one.product != "hip"]
    if not found:
        raise GateError(
            f"{component} does not say which release it is.",
            where=f"{folder}: .info/version, share/therock/therock_manifest.json, "
            "include/rocm-core/rocm_version.h, include/hip/hip_version.h",
            cause="It is no ROCm, or one that was taken apart: it cannot be held against policy.",
            fix="Use a whole release.",
        )
    if not rocm:  # a distribution's: HIP's number is all there is, and its third part is a count
        one = found[0]
        if Version(pinned).release[:2] != _numbers(one.version)[:2]:
            raise _another(component, pinned, one)
        return []
    for one in rocm:
        if _numbers(one.version) != (*Version(pinned).release, 0, 0)[:3]:
            raise _another(component, pinned, one)
    return _inexact(component, pinned, rocm)


def check_targets(facts: Facts, component: str, arch: str) -> None:
    """Raise GateError when the device libraries of the toolchain do not know the GPU."""
    if facts.targets and arch not in facts.targets:
        raise GateError(
            f"{component} cannot build for {arch}: its device libraries do not know it.",
            where=f"{facts.bitcode}: {', '.join(facts.targets)}",
            cause="The toolchain is older than that GPU, or was made for another one.",
            fix="Use a stack with a newer toolchain, or the release for that GPU.",
        )


def _inexact(component: str, pinned: str, rocm: list[Evidence]) -> list[str]:
    """Compare nightlies and candidates, which share their numbers with the release."""
    wanted = Version(pinned)
    exact = [one for one in rocm if _parsed(one.version) is not None]
    builds = [one for one in exact if _is_build(one.version)]
    for one in builds:
        claimed = _parsed(one.version)
        if wanted.is_prerelease and claimed != wanted:
            raise _another(component, pinned, one)
        if claimed is not None and not wanted.is_prerelease:
            return [f"{component} {pinned} calls itself {one.version} ({one.place})"]
    if wanted.is_prerelease and not builds:
        return [f"{component} {pinned} does not say which build it is, only {rocm[0].version}"]
    return []


def _parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None


def _is_build(version: str) -> bool:
    parsed = _parsed(version)
    return parsed is not None and parsed.is_prerelease


def _numbers(version: str) -> tuple[int, ...]:
    release = release_of(version)
    return (*release.release, 0, 0)[:3] if release is not None else ()


def _another(component: str, pinned: str, one: Evidence) -> GateError:
    return GateError(
        f"{component} is pinned as {pinned}, and says that it is {one.version}.",
        where=one.place,
        cause="The pin names the wrong version, or this is not the release that was meant.",
        fix="Mend the version of the pin, or give it the release that was meant.",
    )
