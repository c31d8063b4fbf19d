"""What the recipes of both stacks come to: commands, environment, options and checks, as files.

UPDATE_SNAPSHOTS=1 writes them anew; the diff is then what a change of a recipe does.
"""

import functools
import json
import os
from pathlib import Path

import msgspec
import pytest

from strixforge.model.lock import load_lock
from strixforge.plan.evaluate import evaluate
from strixforge.plan.graph import Plan, load_plan
from tests.e2e.project import REPOSITORY
from tests.standins.project import STACKS

SNAPSHOTS = Path(__file__).parent / "snapshots"
_PARTS = {
    "prefix": "/opt/rocm",
    "llvm": "/opt/rocm/lib/llvm",
    "clang": "/opt/rocm/lib/llvm/bin/clang++",
    "libraries": "/opt/rocm/lib",
    "cmake": "/opt/rocm/lib/cmake",
}
FACTS = {
    "rocm-6.4.4": _PARTS
    | {
        "release": "6.4.4-129",
        "hip_version": "6.4.43484",
        "clang_version": "19.0.0",
        "bitcode": "/opt/rocm/amdgcn/bitcode",
    },
    "therock": _PARTS
    | {
        "release": "10.0.0",
        "hip_version": "7.15.26320",
        "clang_version": "23.0.0",
        "bitcode": "/opt/rocm/lib/llvm/amdgcn/bitcode",
    },
}


@functools.cache
def _plan(stack: str) -> Plan:
    lock = load_lock(REPOSITORY / "toolchain.lock")
    return load_plan(REPOSITORY, lock, stack, "gfx1151", {}, lock.stack(stack).root)


def _names(stack: str) -> list[str]:
    plan = _plan(stack)
    return [name for name in (*plan.components, *plan.devices) if name != plan.root]


CASES = [(stack, name) for stack in STACKS for name in _names(stack)]


@pytest.mark.parametrize(("stack", "name"), CASES, ids="-".join)
def test_a_recipe_comes_to_what_was_reviewed(stack: str, name: str) -> None:
    plan = _plan(stack)
    component = plan.component(name)
    recipe = evaluate(component, plan, {"rocm": FACTS[stack]})
    content = {
        "needs": list(component.recipe.needs),
        "python": list(component.recipe.build.python),
        "runtime": list(component.recipe.runtime),
        "host": list(component.recipe.host),
        "patches": [patch.path.name for patch in component.patches],
        "recipe": msgspec.to_builtins(recipe),
    }
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    path = SNAPSHOTS / stack / f"{name}.json"
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"{path} is not there: UPDATE_SNAPSHOTS=1 writes it"
    assert text == path.read_text(encoding="utf-8"), "UPDATE_SNAPSHOTS=1 writes it anew"


@pytest.mark.parametrize("stack", STACKS)
def test_no_snapshot_is_of_a_component_that_is_gone(stack: str) -> None:
    assert {path.stem for path in (SNAPSHOTS / stack).iterdir()} == set(_names(stack))
