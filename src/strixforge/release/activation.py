"""The activation script of an installed stack."""

import re
import shlex

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from strixforge.model.errors import DataError
from strixforge.plan.graph import Plan
from strixforge.release.inputs import TEMPLATES

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_RESERVED = frozenset({"PATH", "VIRTUAL_ENV", "PYTHONNOUSERSITE", "PYTHONHOME", "PS1"})


def render_activation(plan: Plan) -> str:
    """Return activate.sh. The recipes' [activate] variables may name {{ prefix }}: their folder."""
    # As for all of a recipe: a template cannot reach Python's insides.
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    variables: dict[str, str] = {}
    for name, component in plan.components.items():
        for variable, text in component.recipe.activate.env.items():
            where = f"{component.recipe_path}: activate.env.{variable}"
            if not _NAME.fullmatch(variable) or variable in _RESERVED:
                raise DataError(f"'{variable}' cannot be set by a recipe.", where=where)
            try:
                value = environment.from_string(text).render(prefix=f"\0/{name}", arch=plan.arch)
            except jinja2.TemplateError as error:
                raise DataError(f"a template cannot be filled in: {error}.", where=where) from None
            # The installed place is known only when the script is sourced.
            parts = [shlex.quote(part) if part else "" for part in value.split("\0")]
            variables[variable] = '"$_strixforge_here"'.join(parts) or "''"
    template_file = TEMPLATES / "activate.sh.j2"
    rendered: str = jinja2.Template(
        template_file.read_text(), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    ).render(stack=plan.stack, variables=variables)
    return rendered
