"""Opens a run: loads lock, recipes and policy, and asks the policy what it says of them."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from strixforge.host.gpu import find_host
from strixforge.model import conditions
from strixforge.model.errors import DataError, IntegrityError, PolicyError, UnpinnedError
from strixforge.model.lock import Lock, load_lock
from strixforge.model.packages import list_file, load_packages
from strixforge.model.pins import AptPin, LocalPin, SystemPin
from strixforge.model.policy import load_policy
from strixforge.model.recipe_files import check_names, component_names
from strixforge.plan.graph import load_plan
from strixforge.policy import (
    Policy,
    in_choice,
    in_environment,
    in_location,
    in_packages,
    in_pin,
)
from strixforge.settings import Settings, read_settings
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
    _check_together(lock, settings)
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
    host = None if settings.elsewhere else find_host()
    found, refusal = policy.check_combinations(plan.versions(), settings.arch, host)
    ws.warnings += found
    if refusal is not None:
        ws.refuse(refusal)
    return ws


def _check_together(lock: Lock, settings: Settings) -> None:
    """Raise PolicyError where the chosen pins are not of one set."""
    pins = lock.stack(settings.stack).choose(settings.versions, file=lock.file)
    versions = {name: pin.version for name, pin in pins.items()}
    known = component_names(settings.home / "recipes")
    for one in lock.together:
        where = f"{lock.file}: together ({one.id})"
        check_names(conditions.names(one.pins), known, what="a set", where=where)
        if misfits := one.misfits(versions):
            names = sorted({name for text in misfits for name in conditions.names([text])})
            have = ", ".join(f"{name} {versions[name]}" for name in names)
            raise PolicyError(
                f"the pins of stack {settings.stack} do not fit each other: set {one.id}.",
                where=where,
                cause=f"With {one.pins[0]} go {', '.join(misfits)}; chosen: {have}.\n"
                f"source: {one.source}",
                fix="Choose versions of one set, or add the set that you know to work.",
            )


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
            found = ws.policy.check_host(pin.version, find_host().gpus, ws.plan.arch, place)
            ws.warnings += found[0]
            if found[1] is not None:
                ws.refuse(found[1])
