"""Opens a run: loads lock, recipes and policy, and asks the policy what it says of them."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from strixforge.host.gpu import find_gpus
from strixforge.model.errors import DataError, IntegrityError, PolicyError, UnpinnedError
from strixforge.model.lock import load_lock
from strixforge.model.packages import list_file, load_packages
from strixforge.model.pins import AptPin, LocalPin, SystemPin
from strixforge.model.policy import load_policy
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
            for name in component.pin.repositories:
                where = f"{lock.file}: repository.{name}"
                warnings += policy.check(in_location(lock.repositories[name].url or "", where))
    if reason := lock.stack(settings.stack).allow_expired:
        place = f"stack.{settings.stack}: allow-expired"
        warnings.append(f"expired package indexes are accepted: {reason} ({place})")
    ws = Workspace(settings, lock, policy, plan, warnings)
    _check_packages(ws)
    if not settings.elsewhere:
        _check_host(ws)
    return ws


def _check_packages(ws: Workspace) -> None:
    """Note what the policy refuses of listed packages: `doit lock` may find others now."""
    for component in ws.plan.components.values():
        pin = component.pin
        if isinstance(pin, AptPin):
            with contextlib.suppress(DataError, IntegrityError, UnpinnedError):  # to be locked anew
                path = list_file(ws.settings.home, pin)
                found = in_packages(load_packages(ws.settings.home, pin), str(path))
                try:
                    ws.warnings += ws.policy.check(found)
                except PolicyError as refusal:
                    ws.refuse(refusal)


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
            if found[1] is not None:
                ws.refuse(found[1])
