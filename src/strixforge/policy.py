"""Holds pins, addresses and toolchain folders against the rules of policy.toml."""

import datetime as dt
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from strixforge.host.gpu import Gpu, Gpus, Host
from strixforge.model.combination import Combination
from strixforge.model.errors import PolicyError
from strixforge.model.lock import Lock, Stack
from strixforge.model.packages import PackageList
from strixforge.model.pins import Pin
from strixforge.model.policy import (
    PRODUCTS,
    Evidence,
    HostRule,
    Product,
    Rule,
    Rules,
    versions_in_location,
)
from strixforge.toolchain.identity import versions as versions_of


class Policy:
    """The rules, and the lock that alternatives are taken from."""

    def __init__(self, rules: Rules, file: Path, lock: Lock, today: dt.date | None = None) -> None:
        """Keep the rules; `file` is named in refusals, `today` is what they expire by: UTC's."""
        self.rules = rules
        self._rules = rules.releases
        self._hosts = rules.hosts
        self._combinations = rules.combinations
        self._file = file
        self._lock = lock
        self._today = today or dt.datetime.now(dt.UTC).date()

    def check(self, evidence: Iterable[Evidence]) -> list[str]:
        """Return warnings. Raises PolicyError for the first evidence that a rule refuses."""
        warnings = []
        for one in evidence:
            for rule in self._rules:
                if not rule.matches(one.product, one.version):
                    continue
                if rule.verdict == "refuse":
                    raise self._refusal(rule, one)
                warnings.append(f"{one.product} {one.version}: {rule.reason} ({rule.id})")
        return list(dict.fromkeys(warnings))

    def check_toolchain(self, root: Path) -> list[str]:
        """Check the identity files of an unpacked or installed toolchain."""
        return self.check(versions_of(root))

    def check_host(
        self, version: str, gpus: Gpus, arch: str, place: str
    ) -> tuple[list[str], PolicyError | None]:
        """Hold a toolchain's release against the GPU and kernel that will run what it builds.

        Returns warnings, and the refusal where there is one: raised before anything long begins.
        """
        warnings: list[str] = []
        refusal: PolicyError | None = None
        for rule in self._hosts:
            gpu = gpus.of(rule.gpu) if rule.gpu == arch else None
            if gpu is None or not rule.fits(version) or not _holds(rule, gpu, gpus):
                continue
            if rule.verdict == "warn":
                warnings.append(f"this machine, ROCm {version}: {rule.reason} ({rule.id})")
            elif refusal is None:
                known = rule.stack in self._lock.stacks
                other = f"Use ./doit stack={rule.stack} …" if known else "Pin another ROCm"
                if rule.stack and not known:
                    other += f" (a stack {rule.stack})"
                refusal = PolicyError(
                    f"ROCm {version} does not work on this machine: rule {rule.id}.",
                    where=f"{place}\nrule: {self._file}",
                    cause="\n".join([rule.reason, *(f"source: {one}" for one in rule.sources)]),
                    fix=f"{other}, or build for another machine: ./doit target=elsewhere …",
                )
        return warnings, refusal

    def applying(
        self, versions: Mapping[str, str], arch: str, host: Host | None
    ) -> list[Combination]:
        """Return the combinations that a stack is one of, in the order of policy.toml.

        `host` is None where what is built will run elsewhere.
        """
        return [
            one
            for one in self._combinations
            if one.fits_stack(versions, arch) and (not one.asks_host or _on(host, one, arch))
        ]

    def on_its_machine(
        self, release: str, versions: Mapping[str, str], arch: str
    ) -> list[HostRule | Combination]:
        """Return what would count on a machine that runs the stack, as far as its kernel fits.

        `release` is the toolchain's version, or an empty text where the stack has none.
        """
        hosts = [one for one in self._hosts if one.gpu == arch and release and one.fits(release)]
        asking = [one for one in self._combinations if one.asks_host]
        return [*hosts, *(one for one in asking if one.fits_stack(versions, arch))]

    def check_combinations(
        self, versions: Mapping[str, str], arch: str, host: Host | None
    ) -> tuple[list[str], PolicyError | None]:
        """Return warnings for the stack's combinations, and the refusal where there is one."""
        warnings: list[str] = []
        refusal: PolicyError | None = None
        for one in self.applying(versions, arch, host):
            if one.verdict == "good":
                continue
            old = f"; to be looked at again since {one.expires}" if one.expired(self._today) else ""
            if one.verdict == "refuse" and not old:
                refusal = refusal or PolicyError(
                    f"this combination does not work: {one.id}.",
                    where=f"{', '.join(one.pins)}\nrule: {self._file}",
                    cause="\n".join([one.reason, *(f"source: {text}" for text in one.sources)]),
                    fix="./doit policy    (shows all that is known of the stack)",
                )
            else:
                warnings.append(f"{one.verdict}: {one.reason} ({one.id}{old})")
        return warnings, refusal

    def _refusal(self, rule: Rule, one: Evidence) -> PolicyError:
        good = [stack.name for stack in self._lock.stacks.values() if self._allows(stack)]
        return PolicyError(
            f"{one.product} {one.version} is not used: rule {rule.id}.",
            where=f"{one.place}\nrule: {self._file}",
            cause="\n".join([rule.reason, *(f"source: {source}" for source in rule.sources)]),
            fix=one.cure or _alternatives(good),
        )

    def _allows(self, stack: Stack) -> bool:
        return not any(
            rule.verdict == "refuse" and rule.matches(one.product, one.version)
            for pin in stack.choose({}, file=self._lock.file).values()
            for one in in_pin(pin, str(self._lock.file))
            for rule in self._rules
        )


def _alternatives(good: list[str]) -> str:
    if not good:
        return "No stack of the lock passes the policy; pin another version."
    return f"Use a stack that works: {', '.join(f'./doit stack={name} …' for name in good)}"


def _on(host: Host | None, one: Combination, arch: str) -> bool:
    """Say whether the machine is one that a combination speaks of."""
    gpu = host.gpus.of(arch) if host is not None else None
    if host is None or gpu is None or not one.fits_kernel(host.kernel):
        return False
    return _holds(one, gpu, host.gpus)


def _holds(rule: HostRule | Combination, gpu: Gpu, gpus: Gpus) -> bool:
    """Say whether kernel and firmware are those that a rule speaks of."""
    exports = not rule.kernel_exports or rule.kernel_exports in gpu.properties
    lacks = not rule.kernel_lacks or rule.kernel_lacks not in gpu.properties
    firmware = not rule.mes_firmware or not gpus.mes_firmware.isdisjoint(rule.mes_firmware)
    return exports and lacks and firmware


def in_pin(pin: Pin, lock_file: str) -> list[Evidence]:
    """Return what a pin shows of toolchain versions: its version, address, path and ref."""
    place = f"{lock_file}: pin of {pin.component}"
    found = in_choice({pin.component: pin.version}, place)
    found += in_location(f"{getattr(pin, 'name', '')}-{pin.version}", place)
    texts = [(field, getattr(pin, field, "")) for field in ("url", "path", "ref")]
    texts += [("also", one) for one in getattr(pin, "also", ())]
    for field, text in texts:
        folder = f"{pin.component}/" if field == "ref" else ""  # a tag v7.0.1 is its component's
        found += in_location(folder + text, f"{place}, {field} {text}")
    return found


def in_packages(packages: PackageList, place: str) -> list[Evidence]:
    """Return what Debian packages show: AMD's carry the ROCm release in their versions.

    Distributions number HIP and its compiler driver after the release that they are of.
    """
    found = []
    for package in packages.package:
        where = f"{place}: {package}"
        found += in_location(package.path, where)
        product = next((p for n, p in _NAMED_AFTER.items() if n.fullmatch(package.name)), None)
        if product is not None:
            found.append(Evidence(product, package.version, where))
    cure = "./doit lock    (finds what the archive has now), or use another stack"
    return [replace(one, cure=cure) for one in found]


# Debian's packages whose own version is that of the product.
_NAMED_AFTER: dict[re.Pattern[str], Product] = {
    re.compile(r"rocm(-core|-dev|-utils|-libs)?|rocm-device-libs(-[0-9]+)?"): "rocm",
    re.compile(r"libamdhip64-(dev|[0-9]+(t64)?)|hip-dev|hip-runtime-amd|hipcc"): "hip",
}


def in_choice(versions: Mapping[str, str], place: str = "") -> list[Evidence]:
    """Return what <component>=<version> shows, on the command line or in a pin."""
    found = []
    for name, version in versions.items():
        where = place or f"{name}={version}, as asked for"
        if name in PRODUCTS:
            found.append(Evidence(name, version, where))
        found += in_location(f"{name}-{version}", where)
    cure = "" if place else "Leave it out: the lock's own pins are then used."
    return [replace(one, cure=cure) for one in found]


def in_environment(environ: Mapping[str, str]) -> list[Evidence]:
    """Return what a ROCm of the host shows: its folder's name, and the identity files in it."""
    found: list[Evidence] = []
    for name in ("ROCM_PATH", "ROCM_HOME", "HIP_PATH"):
        path = environ.get(name, "")
        if not path:
            continue
        place, resolved = f"{name}={path}", os.path.realpath(path)
        found += in_location(path, place)
        found += in_location(resolved, f"{place} -> {resolved}")
        found += versions_of(Path(path))
        used = "only a `system` pin uses it" if name == "ROCM_PATH" else "builds do not use it"
        cure = f"unset {name}    ({used}), or let it name another ROCm"
        found = [replace(one, cure=one.cure or cure) for one in found]
    return found


def in_location(text: str, place: str) -> list[Evidence]:
    """Return what an address, path or file name shows."""
    return [Evidence(product, version, place) for product, version in versions_in_location(text)]
