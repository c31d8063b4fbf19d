"""Raw recipe to evaluated recipe: Jinja2 with StrictUndefined, one rule for every string."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from strixforge.model.checks import Check, ConfigureCheck, SourceCheck
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
        needed = plan.component(need)
        is_toolchain = needed.recipe.output == "toolchain"
        names[need] = {
            "prefix": layout.ROCM if is_toolchain else layout.prefix(need),
            "version": needed.pin.version,
            **toolchains.get(need, {}),
        }
    return names


Fill = Callable[[str, str], str]
"""Fills in the templates of a text; the other text is its key, for errors."""


def evaluate(component: Component, plan: Plan, toolchains: Toolchains) -> Recipe:
    """Fill in every template. Raises DataError naming the key, and what the template could name."""
    recipe = component.recipe
    build = recipe.build
    names = context(component, plan, toolchains)
    fill = _filler(component, names)
    cmake = {key: fill(text, f"build.cmake.{key}") for key, text in build.cmake.items()}
    options = shlex.join(f"-D{key}={value}" for key, value in cmake.items())
    fill = _filler(component, {**names, "cmake": options})

    def steps(name: str, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(fill(text, f"build.{name}[{i}]") for i, text in enumerate(texts))

    return Recipe(
        output=recipe.output,
        distribution=recipe.distribution_of(component.name),
        imports=build.imports,
        prepare=prepare_steps(component, plan),
        configure=steps("configure", build.configure),
        steps=steps("steps", build.steps),
        env={key: fill(text, f"build.env.{key}") for key, text in build.env.items()},
        cmake=cmake,
        check=Check(
            paths=tuple(
                _inside(component, fill(path, f"check.paths[{i}]"), f"check.paths[{i}]")
                for i, path in enumerate(recipe.check.paths)
            ),
            code_objects=recipe.check.code_objects,
            same=dict(recipe.check.same),
            source=source_checks(component, plan),
            configure=_configure_check(recipe.check.configure, fill),
            hollow=recipe.check.hollow,
        ),
        links=dict(recipe.links),
    )


def source_checks(component: Component, plan: Plan) -> tuple[SourceCheck, ...]:
    """Return the checks of the source, evaluated. They can name no fact of a toolchain."""
    fill = _filler(component, context(component, plan, {}))
    return tuple(
        SourceCheck(
            file=one.file,
            why=one.why,
            has=fill(one.has, f"check.source[{i}].has"),
            lacks=fill(one.lacks, f"check.source[{i}].lacks"),
        )
        for i, one in enumerate(component.recipe.check.source)
    )


def prepare_steps(component: Component, plan: Plan) -> tuple[str, ...]:
    """Return the steps that make the source ready, evaluated, with no fact of a toolchain."""
    fill = _filler(component, context(component, plan, {}))
    texts = component.recipe.build.prepare
    return tuple(fill(text, f"build.prepare[{i}]") for i, text in enumerate(texts))


def _configure_check(check: ConfigureCheck | None, fill: Fill) -> ConfigureCheck | None:
    if check is None:
        return None
    return ConfigureCheck(
        folder=fill(check.folder, "check.configure.folder"),
        cache={k: fill(text, f"check.configure.cache.{k}") for k, text in check.cache.items()},
        offload_arch=check.offload_arch,
    )


def _inside(component: Component, text: str, key: str) -> str:
    """Return a path of the output. Raises DataError for one that leads out of it."""
    if PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
        raise DataError(
            f"'{text}' is no path of the output.",
            where=f"{component.recipe_path}: {key}",
            fix="Write it as it is below the output's folder, such as lib/libx.so.",
        )
    return text


def _filler(component: Component, names: Mapping[str, Any]) -> Fill:
    """Return what fills in templates that may name `names`."""
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

    return fill
