"""recipes/<component>.toml: how a component is built. Raw as written, then evaluated.

Raw text keeps its templates; plan/evaluate.py makes a Recipe of it for one plan.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from strixforge.model.errors import DataError
from strixforge.model.loading import convert, nearest, read_toml
from strixforge.model.pins import Name

Output = Literal["prefix", "wheel", "toolchain", "root"]
Verified = Literal["source", "configure", "compile", "hardware"]

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?) (?P<unit>[KMGT])iB")
_Variable = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z",
        description="Name a variable with letters, digits and underscores.",
    ),
]
_Place = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?!(.*/)?\.\.?(/|\Z))[^/\x00-\x1f][^\x00-\x1f]*\Z",
        description="Write it as it is below the root: usr/bin/c++.",
    ),
]
_POWER = {"K": 1, "M": 2, "G": 3, "T": 4}


class Jobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one compiler job costs."""

    memory: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})? [KMGT]iB\Z",
            description="Write a number and a unit, such as 2 GiB.",
        ),
    ] = "1 GiB"

    @property
    def memory_bytes(self) -> int:
        """Memory of one job, bytes."""
        match = _SIZE.fullmatch(self.memory)
        if match is None:  # pragma: no cover - the pattern above has been checked on loading
            raise ValueError(self.memory)
        return max(1, int(float(match["number"]) * 1024 ** _POWER[match["unit"]]))


class Build(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [build] table: Python requirements, environment and steps."""

    steps: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    env: dict[_Variable, str] = {}


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [check] table: what the output must hold."""

    paths: tuple[str, ...] = ()
    code_objects: bool = False


class Activate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [activate] table: variables that an installed environment sets."""

    env: dict[_Variable, str] = {}


class RawRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipe as it is written, templates and all."""

    summary: str
    license: str
    output: Output
    verified: Verified
    build: Build = Build()
    """Without steps the output is the source as it is unpacked: a toolchain, or a root."""
    homepage: str = ""
    needs: tuple[Name, ...] = ()
    """Components that the build sees, and that the installed output is used with."""
    runtime: tuple[str, ...] = ()
    """Python requirements of the installed output that come from the index."""
    jobs: Jobs = Jobs()
    check: Check = Check()
    activate: Activate = Activate()
    links: dict[_Place, _Place] = {}
    """Symlinks of a root, place to target: what maintainer scripts would make, which never run."""


class Recipe(msgspec.Struct, frozen=True):
    """A recipe evaluated for one plan: everything here can change the output."""

    output: Output
    steps: tuple[str, ...]
    env: dict[str, str]
    check_paths: tuple[str, ...]
    code_objects: bool
    links: dict[str, str]


def recipe_file(recipes: Path, stack: str, component: str) -> Path:
    """Return the recipe of `component`: the stack's own one, else the common one.

    Raises DataError when there is neither.
    """
    own, common = recipes / stack / f"{component}.toml", recipes / f"{component}.toml"
    for path in (own, common):
        if path.is_file():
            return path
    others = sorted(recipes.glob(f"*/{component}.toml"))
    if others:
        raise DataError(
            f"component '{component}' of stack {stack} has no recipe.",
            where=str(common),
            cause=f"The one in {others[0]} is another stack's own.",
            fix=f"mkdir -p '{own.parent}' && cp '{others[0]}' '{own}'    (or move it to {recipes})",
        )
    known = [path.stem for folder in (recipes / stack, recipes) for path in folder.glob("*.toml")]
    raise DataError(
        f"component '{component}' of stack {stack} has no recipe.",
        where=str(common),
        fix=f"Write that file, or mend the name in the lock. {nearest(component, known)}",
    )


def load_recipe(path: Path) -> RawRecipe:
    """Read one recipe. Raises DataError naming file and key."""
    recipe = convert(read_toml(path), RawRecipe, file=path, key="")
    _check_steps(recipe, path)
    for key, requirement in (
        *(("build.python", one) for one in recipe.build.python),
        *(("runtime", one) for one in recipe.runtime),
    ):
        if reason := _unfit(requirement):
            raise DataError(
                f"'{requirement}' is not a requirement: {reason}.",
                where=f"{path}: {key}",
                fix="Write a name and a specifier, such as cmake>=3.27,<5.",
            )
    return recipe


def _check_steps(recipe: RawRecipe, path: Path) -> None:
    """Raise DataError where steps are missing, or where there can be none."""
    if recipe.output in ("wheel", "prefix") and not recipe.build.steps:
        raise DataError(
            f"a {recipe.output} is made by steps, and there are none.",
            where=f"{path}: build.steps",
            fix="Write the commands that leave it in {{ out }}.",
        )
    if recipe.output == "root" and (recipe.build != Build() or recipe.needs):
        raise DataError(
            "a root is unpacked, not built.",
            where=f"{path}: {'build' if recipe.build != Build() else 'needs'}",
            cause="Steps run in a root, and so cannot make one.",
            fix="Remove that; `links` adds what maintainer scripts would make.",
        )
    if recipe.build != Build() and not recipe.build.steps:
        raise DataError(
            "[build] has no steps.",
            where=f"{path}: build.steps",
            fix="Write them, or remove [build]: the output is then the source as it is.",
        )
    if recipe.links and recipe.output != "root":
        raise DataError("only a root has links.", where=f"{path}: links", fix="Remove them.")


def _unfit(requirement: str) -> str:
    """Return why a requirement cannot be locked, or nothing."""
    try:
        return "an address has no hash" if Requirement(requirement).url else ""
    except InvalidRequirement as error:
        return str(error).splitlines()[0]
