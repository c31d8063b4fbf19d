"""Opens a run: loads lock, recipes and policy, and asks the policy what it says of them."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from strixforge.host.gpu import find_gpus
from strixforge.model.errors import IntegrityError, UnpinnedError
from strixforge.model.lock import Lock, load_lock
from strixforge.model.packages import list_file, load_packages
from strixforge.model.pins import AptPin, LocalPin, SystemPin
from strixforge.model.policy import Evidence, load_policy
from strixforge.plan.graph import load_plan
from strixforge.policy import (
    Policy,
    in_choice,
    in_environment,
    in_location,
    in_packages,
    in_pin,
)
from strixforge.settings import read_settings
from strixforge.workspace import Workspace


def open_workspace(
    home: Path,
    given: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
    *,
    here: Path | None = None,
) -> Workspace:
    """Load all data and ask the policy.

    Raises DataError, UsageError, UnpinnedError or PolicyError.
    """
    lock = load_lock(home / "toolchain.lock")
    policy_file = home / "policy.toml"
    policy = Policy(load_policy(policy_file), policy_file, lock)
    settings = read_settings(home, lock, given, environ, here=here)
    warnings = policy.check([*in_choice(settings.versions), *in_environment(environ)])
    plan = load_plan(home, lock, settings.stack, settings.arch, settings.versions, settings.root)
    for component in plan.components.values():
        warnings += policy.check(in_pin(component.pin, str(lock.file)))
        if isinstance(component.pin, AptPin):
            warnings += policy.check(_in_packages(home, lock, component.pin))
    if reason := lock.stack(settings.stack).allow_expired:
        warnings.append(f"expired package indexes are accepted: {reason} (allow-expired)")
    ws = Workspace(settings, lock, policy, plan, warnings)
    if not settings.elsewhere:
        _check_host(ws)
    return ws


def _in_packages(home: Path, lock: Lock, pin: AptPin) -> list[Evidence]:
    """Return what an apt pin's repositories and packages show of toolchain versions."""
    found: list[Evidence] = []
    for name in pin.repositories:
        found += in_location(lock.repositories[name].url or "", f"{lock.file}: repository.{name}")
    with contextlib.suppress(IntegrityError, UnpinnedError):  # nothing of it is built then
        found += in_packages(load_packages(home, pin), str(list_file(home, pin)))
    return found


def _check_host(ws: Workspace) -> None:
    """Note what the policy says of the stack's ROCm on this machine's GPU."""
    for component in ws.plan.components.values():
        pin = component.pin
        # A stand-in of this repository, and a distribution's HIP in a root, are no ROCm release.
        real = not isinstance(pin, LocalPin) and (
            not isinstance(pin, SystemPin) or ws.plan.root is None
        )
        if component.recipe.output == "toolchain" and real:
            place = f"{ws.lock.file}: pin of {component.name}"
            found = ws.policy.check_host(pin.version, find_gpus(), ws.plan.arch, place)
            ws.warnings += found[0]
            ws.host_refusal = found[1]
            if found[1] is not None:
                ws.warnings.append(f"{found[1].what} Nothing is built before that is mended.")
