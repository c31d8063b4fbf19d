"""Raw recipe to evaluated recipe: Jinja2 with StrictUndefined, one rule for every string."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from strixforge.model.errors import DataError
from strixforge.model.loading import nearest
from strixforge.model.recipe import Recipe
from strixforge.plan import layout
from strixforge.plan.graph import Component, Plan

Toolchains = Mapping[str, Mapping[str, str]]
"""Facts of the toolchains that are there, by component: prefix, clang, bitcode and so on."""


def context(component: Component, plan: Plan, toolchains: Toolchains) -> dict[str, Any]:
    """Return what a recipe's templates can name. Nothing of it depends on the machine."""
    pin = component.pin
    source = {"version": pin.version, "epoch": pin.epoch}
    commit = getattr(pin, "commit", None)
    if commit:
        source["commit"] = commit
    names: dict[str, Any] = {
        "src": layout.SRC,
        "build": layout.BUILD,
        "out": layout.OUT,
        "arch": plan.arch,
        "source": source,
    }
    for need in component.recipe.needs:
        needed = plan.components[need]
        is_toolchain = needed.recipe.output == "toolchain"
        names[need] = {
            "prefix": layout.ROCM if is_toolchain else layout.prefix(need),
            "version": needed.pin.version,
            **toolchains.get(need, {}),
        }
    return names


def evaluate(component: Component, plan: Plan, toolchains: Toolchains) -> Recipe:
    """Fill in every template. Raises DataError naming the key, and what the template could name."""
    import jinja2.sandbox

    def plain(value: Any) -> Any:
        """Let only text and numbers through: the text of other things may hold an address."""
        if isinstance(value, str | int | jinja2.Undefined):
            return value
        raise TypeError(f"a {type(value).__name__} stands where a text is wanted")

    # Recipes are data; the sandboxed environment keeps a template from reaching Python's insides.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=plain,
    )
    # The same text must come out each time: away with lipsum, cycler and random.
    environment.globals.clear()
    del environment.filters["random"]
    names = context(component, plan, toolchains)

    def fill(text: str, key: str) -> str:
        try:
            filled = environment.from_string(text).render(names)
            if "\0" in filled:
                raise ValueError("the result holds a NUL character")
        except (
            *(jinja2.TemplateError, ArithmeticError, AssertionError, AttributeError, LookupError),
            *(RecursionError, TypeError, ValueError),
        ) as error:
            known = [
                *(name for name, value in names.items() if isinstance(value, str)),
                *(f"{n}.{f}" for n, v in names.items() if isinstance(v, dict) for f in v),
            ]
            raise DataError(
                f"a template cannot be filled in: {error}.",
                where=f"{component.recipe_path}: {key}",
                cause=f"In: {text}",
                fix=nearest("", known),
            ) from None
        return filled

    def inside(text: str, key: str) -> str:
        if PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
            raise DataError(
                f"'{text}' is no path of the output.",
                where=f"{component.recipe_path}: {key}",
                fix="Write it as it is below the output's folder, such as lib/libx.so.",
            )
        return text

    recipe = component.recipe
    return Recipe(
        output=recipe.output,
        steps=tuple(fill(step, f"build.steps[{i}]") for i, step in enumerate(recipe.build.steps)),
        env={key: fill(text, f"build.env.{key}") for key, text in recipe.build.env.items()},
        check_paths=tuple(
            inside(fill(path, f"check.paths[{i}]"), f"check.paths[{i}]")
            for i, path in enumerate(recipe.check.paths)
        ),
        code_objects=recipe.check.code_objects,
        links=dict(recipe.links),
    )
