"""The components of a stack in dependency order, each with its pin, recipe and patches."""

import graphlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from strixforge.model import conditions
from strixforge.model.errors import DataError
from strixforge.model.loading import nearest
from strixforge.model.lock import HOST, Lock
from strixforge.model.patch import Patch, load_patches
from strixforge.model.pins import Pin, SystemPin
from strixforge.model.recipe import RawRecipe
from strixforge.model.recipe_files import (
    check_joined,
    check_names,
    component_names,
    load_recipe,
    recipe_file,
)
from strixforge.plan.device import DEVICE, device_recipe
from strixforge.plan.python import Python, root_python, running
from strixforge.plan.requirements import Requirements, load_requirements


@dataclass(frozen=True)
class Component:
    """One thing to build, with all that the data says of it."""

    name: str
    pin: Pin
    recipe: RawRecipe
    recipe_path: Path
    patches: tuple[Patch, ...]
    """Patches that this pin gets, in order."""
    skipped: tuple[tuple[Patch, str], ...]
    """Patches of the component that it does not get, each with the reason."""
    requirements_file: Path
    python: Python
    """What wheels of the build requirements are chosen for."""

    @cached_property
    def requirements(self) -> Requirements:
        """The hashed Python build requirements. Raises UnpinnedError when they are not locked."""
        return load_requirements(
            self.requirements_file,
            self.recipe.build.python,
            self.python,
            what=f"build of {self.name}",
        )

    @property
    def is_built(self) -> bool:
        """Say whether steps make the output; else it is the source as it is unpacked."""
        return bool(self.recipe.build.steps)

    @property
    def is_shipped(self) -> bool:
        """Say whether the output goes into the wheelhouse: no root, no source, no system's ROCm."""
        inner = self.recipe.output in ("root", "source") or isinstance(self.pin, SystemPin)
        return not inner


@dataclass(frozen=True, slots=True)
class Plan:
    """A stack, ordered: each component stands after all that it needs."""

    stack: str
    arch: str
    lock_file: Path
    components: dict[str, Component]
    root: str | None
    """The component whose output builds see as /; None for the host's own system."""
    python: Python
    """The stack's Python: the root's, or with root=host the one that runs strixforge."""
    devices: dict[str, Component]
    """What compiles the device code of a component alone, as device_<component>."""

    def component(self, name: str) -> Component:
        """Return a component, or what compiles the device code of one."""
        return self.components[name] if name in self.components else self.devices[name]

    def needs(self, name: str) -> tuple[str, ...]:
        """Return what must be there before a component can be built, the root first."""
        component = self.component(name)
        in_root = component.is_built or isinstance(component.pin, SystemPin)
        root = (self.root,) if self.root is not None and in_root else ()
        return (*root, *component.recipe.needs)

    def closure(self, names: Iterable[str]) -> list[str]:
        """Return components and all that they need, in the order of building."""
        wanted: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting += self.needs(name)
        return [name for name in (*self.components, *self.devices) if name in wanted]

    def versions(self) -> dict[str, str]:
        """Return the components with their pinned versions."""
        return {name: component.pin.version for name, component in self.components.items()}

    def shipped(self) -> list[str]:
        """Return the components whose outputs go into the wheelhouse."""
        return [name for name, component in self.components.items() if component.is_shipped]


def load_plan(
    home: Path,
    lock: Lock,
    stack: str,
    arch: str,
    versions: dict[str, str],
    root: str = HOST,
) -> Plan:
    """Join lock, recipes, patches and requirement locks of one stack.

    `home` is the folder of dodo.py; `versions` chooses among pins; `root` is `host` or the name of
    a root in the lock. Raises DataError, UsageError or UnpinnedError, each naming the file to mend.
    """
    pins = lock.stack(stack).choose(versions, file=lock.file)
    root_pin = lock.root(root, where=f"{lock.file}: root")
    python = running()
    if root_pin is not None:
        pins = {root: root_pin, **pins}
        python = root_python(home, root_pin)
    numbers = {name: pin.version for name, pin in pins.items()}
    loaded = {
        name: _load_component(home, stack, name, pin, numbers, python) for name, pin in pins.items()
    }
    _check_outputs(loaded, root if root_pin is not None else None)
    for component in loaded.values():
        for need in component.recipe.needs:
            if need not in loaded:
                raise DataError(
                    f"{component.name} needs '{need}', which stack {stack} does not pin.",
                    where=f"{component.recipe_path}: needs",
                    fix=f"Add a [[stack.{stack}.pin]] for it to {lock.file.name}. "
                    + nearest(need, loaded),
                )
        _check_imports(component, loaded)
    sorter = graphlib.TopologicalSorter({c.name: c.recipe.needs for c in loaded.values()})
    try:
        order = list(sorter.static_order())
    except graphlib.CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise DataError(
            f"components need each other in a circle: {cycle}.",
            where=str(loaded[error.args[1][0]].recipe_path) + ": needs",
        ) from None
    toolchains = [name for name in order if loaded[name].recipe.output == "toolchain"]
    if len(toolchains) > 1:
        raise DataError(
            f"stack {stack} has {len(toolchains)} toolchains: {', '.join(toolchains)}.",
            where=str(lock.file),
            cause="A sandbox shows one toolchain, at /opt/rocm.",
        )
    if root_pin is not None:
        order = [root, *(name for name in order if name != root)]
    return Plan(
        stack=stack,
        arch=arch,
        lock_file=lock.file,
        components={name: loaded[name] for name in order},
        root=root if root_pin is not None else None,
        python=python,
        devices=_devices(home, stack, loaded),
    )


def _devices(home: Path, stack: str, loaded: dict[str, Component]) -> dict[str, Component]:
    """Return what compiles device code alone: of each component whose kit the stack pins."""
    found = {}
    for component in loaded.values():
        device = component.recipe.device
        if device is not None and all(need in loaded for need in device.needs):
            name = f"{DEVICE}{component.name}"
            found[name] = replace(
                component,
                name=name,
                recipe=device_recipe(component.recipe, device),
                requirements_file=home / "locks" / stack / f"{name}.txt",
            )
            check_joined(found[name].recipe, component.recipe_path)
            _check_imports(found[name], loaded)
    return found


def _check_imports(component: Component, loaded: dict[str, Component]) -> None:
    """Raise DataError for an import that is no needed wheel."""
    for name in component.recipe.build.imports:
        if name not in component.recipe.needs or loaded[name].recipe.output != "wheel":
            raise DataError(
                f"{component.name} imports '{name}', which is no wheel among its needs.",
                where=f"{component.recipe_path}: build.imports",
                fix="Name components that are in `needs` and whose output is a wheel.",
            )


def _check_outputs(loaded: dict[str, Component], root: str | None) -> None:
    """Raise DataError where a root is no root, or something else says that it is one."""
    for name, component in loaded.items():
        if (component.recipe.output == "root") != (name == root):
            raise DataError(
                f"{name} is no root."
                if name == root
                else f"{name} is a root, and a stack's pins are what is built in one.",
                where=f"{component.recipe_path}: output",
                fix='A root has a [[root]] entry in the lock and output = "root" in its recipe.',
            )


def _load_component(
    home: Path, stack: str, name: str, pin: Pin, versions: dict[str, str], python: Python
) -> Component:
    path = recipe_file(home / "recipes", stack, name)
    raw = load_recipe(path)
    known = component_names(home / "recipes")
    applied, skipped = [], []
    for one in raw.when:
        named = conditions.names(one.pins)
        check_names(named, known, what="[[when]]", where=f"{path}: when.pins")
    for patch in load_patches(home / "patches" / name):
        where = f"{patch.path}: Applies-To"
        check_names(patch.names(), known, what="Applies-To", where=where)
        use = patch.use(name, versions)
        if use == "apply":
            applied.append(patch)
        elif use == "upstream":
            reason = f"droppable: {name} {patch.applied_upstream} has it, the pin is {pin.version}"
            skipped.append((patch, reason))
        else:
            skipped.append((patch, f"for other pins: {'; '.join(patch.applies_to)}"))
    recipe = raw.for_pins(versions)
    check_joined(recipe, path)
    return Component(
        name=name,
        pin=pin,
        recipe=recipe,
        recipe_path=path,
        patches=tuple(applied),
        skipped=tuple(skipped),
        requirements_file=home / "locks" / stack / f"{name}.txt",
        python=python,
    )
