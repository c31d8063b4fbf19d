"""Holds pins, addresses and toolchain folders against the rules of policy.toml."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
        return warnings

    def check_toolchain(self, root: Path) -> list[str]:
        """Check the identity files of an unpacked or installed toolchain."""
        return self.check(in_toolchain(root))

    def _refusal(self, rule: Rule, one: Evidence) -> PolicyError:
        good = [stack.name for stack in self._lock.stacks.values() if self._allows(stack)]
        return PolicyError(
            f"{one.product} {one.version} is not used: rule {rule.id}.",
            where=f"{one.place}\nrule: {self._file}",
            cause="\n".join([rule.reason, *(f"source: {source}" for source in rule.sources)]),
            fix=f"Use a stack that works: {', '.join(f'./doit stack={name} …' for name in good)}"
            if good
            else "No stack of the lock passes the policy; pin another version.",
        )

    def _allows(self, stack: Stack) -> bool:
        try:
            for pin in stack.choose({}, file=self._lock.file).values():
                self.check(in_pin(pin, str(self._lock.file)))
        except PolicyError:
            return False
        return True


def in_pin(pin: Pin, lock_file: str) -> list[Evidence]:
    """Return what a pin shows of toolchain versions: its version, addresses, path and ref."""
    place = f"{lock_file}: pin of {pin.component}"
    found = [Evidence(pin.component, pin.version, place)] if pin.component in PRODUCTS else []
    for field in ("url", "path", "ref"):
        text = getattr(pin, field, "")
        found += [Evidence(p, v, f"{place}, {field} {text}") for p, v in versions_in_location(text)]
    return found


def in_choice(versions: Mapping[str, str]) -> list[Evidence]:
    """Return what <component>=<version> on the command line shows."""
    return [
        Evidence(name, version, f"{name}={version}, as asked for")
        for name, version in versions.items()
        if name in PRODUCTS
    ]


def in_environment(environ: Mapping[str, str]) -> list[Evidence]:
    """Return what ROCM_PATH shows: its own name, and the identity files of the folder."""
    path = environ.get("ROCM_PATH", "")
    if not path:
        return []
    found = [Evidence(p, v, f"ROCM_PATH={path}") for p, v in versions_in_location(path)]
    resolved = Path(path).resolve()
    found += [
        Evidence(p, v, f"ROCM_PATH={path} -> {resolved}")
        for p, v in versions_in_location(str(resolved))
    ]
    return found + in_toolchain(Path(path))


def in_toolchain(root: Path) -> list[Evidence]:
    """Return what the identity files below a toolchain folder show.

    `.info/version` is written by all ROCm releases; TheRock's manifest carries the exact one
    (schema: ROCm/TheRock build_tools/generate_therock_manifest.py at 0c509634).
    """
    found = []
    info = root / ".info" / "version"
    if info.is_file():
        text = info.read_text(errors="replace").strip()[:100]
        found.append(Evidence("rocm", text, str(info)))
    manifest = root / "share" / "therock" / "therock_manifest.json"
    if manifest.is_file():
        try:
            content = json.loads(manifest.read_text(errors="replace"))
        except json.JSONDecodeError:
            content = {}
        if isinstance(content, dict):
            found += [
                Evidence("therock", content[key], f"{manifest}: {key}")
                for key in ("rocm_package_version", "rocm_version")
                if isinstance(content.get(key), str)
            ]
    return found
