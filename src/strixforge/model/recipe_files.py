"""recipes/<component>.toml: where a recipe lies, and what every recipe must be."""

from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from strixforge.model import conditions
from strixforge.model.checks import is_pattern
from strixforge.model.errors import DataError
from strixforge.model.loading import convert, nearest, read_toml
from strixforge.model.recipe import Build, RawRecipe


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


def component_names(recipes: Path) -> frozenset[str]:
    """Return the name of every component that has a recipe, of whatever stack."""
    return frozenset(path.stem for path in recipes.glob("**/*.toml"))


def check_names(named: Iterable[str], known: Set[str], *, what: str, where: str) -> None:
    """Raise DataError for a name without a recipe: misspelt, it would never hold, nor say so."""
    for name in sorted(set(named) - known):
        raise DataError(
            f"{what} names '{name}', which has no recipe.", where=where, fix=nearest(name, known)
        )


def load_recipe(path: Path) -> RawRecipe:
    """Read one recipe. Raises DataError naming file and key."""
    recipe = convert(read_toml(path), RawRecipe, file=path, key="")
    if not recipe.when:
        check_joined(recipe, path)
    for key, requirement in _requirements(recipe):
        if reason := _unfit(requirement):
            raise DataError(
                f"'{requirement}' is not a requirement: {reason}.",
                where=f"{path}: {key}",
                fix="Write a name and a specifier, such as cmake>=3.27,<5.",
            )
    for key, text in _left_out(recipe):
        asked = Requirement(text)
        if asked.specifier or asked.marker:
            raise DataError(
                f"'{text}' is more than a name and its extras.",
                where=f"{path}: {key}",
                cause="What a stack does without is left out at every version.",
                fix="Write it as cupy, or ray[cgraph] for what an extra asks for.",
            )
    for number, one in enumerate(recipe.when):
        for text in one.pins:
            if reason := conditions.unfit(text):
                raise DataError(
                    reason,
                    where=f"{path}: when[{number}].pins",
                    fix="Write a component and its versions, such as vllm>=0.22.",
                )
    _check_checks(recipe, path)
    return recipe


def _requirements(recipe: RawRecipe) -> Iterator[tuple[str, str]]:
    """Yield each Python requirement with its key."""
    builds = [("build", recipe.build)]
    builds += [(f"when[{i}].build", when.build) for i, when in enumerate(recipe.when)]
    if recipe.device is not None:
        builds.append(("device.build", recipe.device.build))
    for key, build in builds:
        yield from ((f"{key}.python", one) for one in build.python)
    yield from (("runtime", one) for one in recipe.runtime)
    for i, when in enumerate(recipe.when):
        yield from ((f"when[{i}].runtime", one) for one in when.runtime)
    yield from _left_out(recipe)


def _left_out(recipe: RawRecipe) -> Iterator[tuple[str, str]]:
    """Yield each requirement that the stack does without, with its key."""
    yield from (("without", one) for one in recipe.without)
    for i, when in enumerate(recipe.when):
        yield from ((f"when[{i}].without", one) for one in when.without)


def _check_checks(recipe: RawRecipe, path: Path) -> None:
    """Raise DataError for a check that says nothing."""
    tables = [("check", recipe.check)]
    tables += [(f"when[{i}].check", when.check) for i, when in enumerate(recipe.when)]
    if recipe.device is not None:
        tables.append(("device.check", recipe.device.check))
    for key, check in tables:
        for number, one in enumerate(check.source):
            if reason := one.unfit():
                raise DataError(
                    reason,
                    where=f"{path}: {key}.source[{number}]",
                    fix="Write what must be in the file as `has`, or what must not as `lacks`.",
                )
        for number, hollow in enumerate(check.hollow):
            if reason := hollow.unfit():
                raise DataError(
                    reason,
                    where=f"{path}: {key}.hollow[{number}].kernels",
                    fix="Write what matches the kernels' whole names, and no others.",
                )
        patterns = check.configure.offload_arch if check.configure is not None else ()
        for pattern in patterns:
            if not is_pattern(pattern):
                raise DataError(
                    f"'{pattern}' is no pattern of files.",
                    where=f"{path}: {key}.configure.offload_arch",
                    fix="Write it as build.ninja, or **/*.cmake.",
                )
    if recipe.device is not None and not recipe.device.build.steps:
        raise DataError(
            "a device check is made by steps, and there are none.",
            where=f"{path}: device.build.steps",
            fix="Write the commands that leave code objects in {{ out }}.",
        )


def check_joined(recipe: RawRecipe, path: Path) -> None:
    """Check a recipe as it is for some pins, every [[when]] joined in.

    Raises DataError where steps are missing or can do nothing.
    """
    has_steps = bool(recipe.build.steps)
    if recipe.check.configure is not None and not recipe.build.configure:
        raise DataError(
            "nothing is configured that could be checked.",
            where=f"{path}: check.configure",
            fix="Write the step that configures as build.configure.",
        )
    if recipe.output in ("wheel", "prefix") and not has_steps:
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
    if recipe.output == "source" and recipe.needs and not has_steps:
        raise DataError(
            "a source that is only unpacked needs nothing.",
            where=f"{path}: needs",
            fix="Remove them, or write steps.",
        )
    if recipe.stands_for is not None and recipe.output != "source":
        raise DataError(
            "only a source stands for another component.",
            where=f"{path}: stands_for",
            fix="Remove it.",
        )
    if recipe.distribution and recipe.output != "wheel":
        raise DataError(
            "only a wheel has a distribution.",
            where=f"{path}: distribution",
            fix="Remove it.",
        )
    if recipe.build != Build() and not has_steps:
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
