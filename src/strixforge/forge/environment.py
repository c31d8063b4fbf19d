"""The Python environment of a build: locked wheels by hash, and wheels of needed components."""

from collections.abc import Mapping
from pathlib import Path

from strixforge.plan import layout
from strixforge.plan.graph import Component

_IMPORTED = ".imported"
"""In the environment: the wheels of needed components are installed."""


def setup_steps(
    component: Component, made: Path, needs: Mapping[str, Path], python: str
) -> list[list[str]]:
    """Return the steps that make the environment, as far as it is not made yet.

    `made` is its folder outside of the sandbox, `needs` are the outputs that this phase sees, and
    `python` is the Python inside that it is made with.
    """
    install = [
        *("/strixforge/uv", "pip", "install", "--quiet", "--offline", "--no-index", "--no-cache"),
        *("--no-config", "--no-build", "--no-deps", "--link-mode=copy"),
        *("--python", f"{layout.ENV}/bin/python"),
    ]
    imports = [name for name in component.recipe.build.imports if name in needs]
    steps = []
    if not (made / "bin").is_dir():
        if component.requirements.locked or component.recipe.build.imports:
            steps.append([python, "-I", "-m", "venv", "--without-pip", layout.ENV])
        if component.requirements.locked:
            wheels = ["--require-hashes", "--find-links", "/strixforge/wheels"]
            locked = ["--requirement", "/strixforge/wheels/requirements.txt"]
            steps.append([*install, *wheels, *locked])
    if imports and not (made / _IMPORTED).exists():
        wheels = [f"{layout.prefix(name)}/{_wheel_of(needs[name])}" for name in imports]
        steps += [[*install, *wheels], ["touch", f"{layout.ENV}/{_IMPORTED}"]]
    return steps


def _wheel_of(output: Path) -> str:
    """Return the file name of the wheel that a needed component was built to."""
    (wheel,) = output.glob("*.whl")
    return wheel.name
