"""Holds pins, addresses and toolchain folders against the rules of policy.toml."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from strixforge.model.errors import PolicyError
from strixforge.model.lock import Lock, Pin, Stack
from strixforge.model.policy import PRODUCTS, Rule, versions_in_location


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place where a toolchain version shows itself."""

    product: str
    version: str
    place: str
    cure: str = ""
    """What to type instead, where it is known."""


class Policy:
    """The rules, and the lock that alternatives are taken from."""

    def __init__(self, rules: tuple[Rule, ...], file: Path, lock: Lock) -> None:
        """Keep the rules; `file` is named in refusals."""
        self._rules = rules
        self._file = file
        self._lock = lock

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
        return self.check(in_toolchain(root))

    def _refusal(self, rule: Rule, one: Evidence) -> PolicyError:
        good = [stack.name for stack in self._lock.stacks.values() if self._allows(stack)]
        return PolicyError(
            f"{one.product} {one.version} is not used: rule {rule.id}.",
            where=f"{one.place}\nrule: {self._file}",
            cause="\n".join([rule.reason, *(f"source: {source}" for source in rule.sources)]),
            fix=one.cure
            or f"Use a stack that works: {', '.join(f'./doit stack={name} …' for name in good)}"
            if good
            else "No stack of the lock passes the policy; pin another version.",
        )

    def _allows(self, stack: Stack) -> bool:
        return not any(
            rule.verdict == "refuse" and rule.matches(one.product, one.version)
            for pin in stack.choose({}, file=self._lock.file).values()
            for one in in_pin(pin, str(self._lock.file))
            for rule in self._rules
        )


def in_pin(pin: Pin, lock_file: str) -> list[Evidence]:
    """Return what a pin shows of toolchain versions: its version, address, path and ref."""
    place = f"{lock_file}: pin of {pin.component}"
    found = in_choice({pin.component: pin.version}, place)
    found += _in_location(f"{getattr(pin, 'name', '')}-{pin.version}", place)
    for field in ("url", "path", "ref"):
        text = getattr(pin, field, "")
        folder = f"{pin.component}/" if field == "ref" else ""  # a tag v7.0.1 is its component's
        found += _in_location(folder + text, f"{place}, {field} {text}")
    return found


def in_choice(versions: Mapping[str, str], place: str = "") -> list[Evidence]:
    """Return what <component>=<version> shows, on the command line or in a pin."""
    found = []
    for name, version in versions.items():
        where = place or f"{name}={version}, as asked for"
        if name in PRODUCTS:
            found.append(Evidence(name, version, where))
        found += _in_location(f"{name}-{version}", where)
    return found


def in_environment(environ: Mapping[str, str]) -> list[Evidence]:
    """Return what a ROCm of the host shows: its folder's name, and the identity files in it."""
    found: list[Evidence] = []
    for name in ("ROCM_PATH", "ROCM_HOME", "HIP_PATH"):
        path = environ.get(name, "")
        if not path:
            continue
        place, resolved = f"{name}={path}", os.path.realpath(path)
        found += _in_location(path, place)
        found += _in_location(resolved, f"{place} -> {resolved}")
        found += in_toolchain(Path(path))
        cure = f"unset {name}    (builds do not use it), or let it name another ROCm"
        found = [replace(one, cure=one.cure or cure) for one in found]
    return found


def in_toolchain(root: Path) -> list[Evidence]:
    """Return what the identity files below a toolchain folder show.

    `.info/version` is written by all ROCm releases; TheRock's manifest carries the exact one
    (schema: ROCm/TheRock build_tools/generate_therock_manifest.py at 0c509634). Raises PolicyError
    for one that cannot be read: what it is cannot be known then.
    """
    found = []
    for info in sorted((root / ".info").glob("version*")):
        if info.suffix == ".json":
            found += _in_json(info, "rocm")
        else:
            found.append(Evidence("rocm", _read(info).strip()[:100], str(info)))
    for manifest in (root / "share" / "therock", root):
        if (manifest / "therock_manifest.json").exists():
            found += _in_json(manifest / "therock_manifest.json", "therock")
    return found


def _in_location(text: str, place: str) -> list[Evidence]:
    return [Evidence(product, version, place) for product, version in versions_in_location(text)]


def _in_json(path: Path, product: str) -> list[Evidence]:
    """Return the versions that a JSON object names at its top."""
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError):
        raise _unreadable(path, "it is not JSON") from None
    table = content if isinstance(content, dict) else {}
    return [
        Evidence(product, value, f"{path}: {key}")
        for key, value in table.items()
        if key.endswith("version") and isinstance(value, str)
    ]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None


def _unreadable(path: Path, why: str) -> PolicyError:
    return PolicyError(
        f"the version of a toolchain cannot be read: {why}.",
        where=str(path),
        cause="A toolchain that does not say what it is could be one that is refused.",
        fix="Make the file readable, or use another toolchain.",
    )
