"""Key documents: everything that can change an output, and nothing else.

A key is the sha256 of the document's canonical JSON. The document is kept beside the artifact, so
that `doit explain` can say what changed.
"""

import json
from typing import Any, cast

import msgspec

from strixforge.model.digests import canonical
from strixforge.model.recipe import Recipe
from strixforge.plan import layout
from strixforge.plan.evaluate import Toolchains, evaluate
from strixforge.plan.graph import Component, Plan

KeyDocument = dict[str, Any]


def key_document(
    component: Component,
    plan: Plan,
    toolchains: Toolchains,
    *,
    source: str,
    root: dict[str, str],
    needs: dict[str, str],
) -> KeyDocument:
    """Return the document of one component.

    `source` is the digest of the pinned source; `root` describes the file system that the sandbox
    shows; `needs` maps each needed component to the digest of its output. Comments, jobs, paths
    of this machine and time stay out.
    """
    recipe = evaluate(component, plan, toolchains)
    document = {
        "contract": layout.CONTRACT,
        "component": component.name,
        "version": component.pin.version,
        "arch": plan.arch if component.is_built else None,
        "recipe": _recipe(recipe),
        "source": source,
        "epoch": component.pin.epoch,
        "patches": [patch.digest for patch in component.patches],
        "python requirements": component.requirements.key(),
        "root": root,
        "needs": needs,
    }
    # As it will be read back from a record: `explain` compares the two, and a tuple is no list.
    return cast(KeyDocument, json.loads(canonical(document)))


def _recipe(recipe: Recipe) -> dict[str, Any]:
    """Return what of an evaluated recipe counts: not the reasons that its checks give."""
    table = msgspec.to_builtins(recipe)
    for check in (*table["check"]["source"], *table["check"]["hollow"]):
        del check["why"]
    return cast(dict[str, Any], table)
