"""The device check of a component: its own source, patches and options, device code alone."""

import msgspec

from strixforge.model.recipe import Device, RawRecipe

DEVICE = "device_"
"""Stands before a component's name in the task that compiles its device code."""


def device_recipe(recipe: RawRecipe, device: Device) -> RawRecipe:
    """Return the recipe that compiles the device code: the component's own, with other needs.

    Python requirements, CMake options, checks of the source and kernels that may be hollow are the
    component's, with those of [device] joined in. Environment, steps and the other checks of the
    output are those of [device].
    """
    build = msgspec.structs.replace(
        recipe.build.joined(device.build), env=device.build.env, imports=device.build.imports
    )
    return msgspec.structs.replace(
        recipe,
        summary=f"the device code of: {recipe.summary}",
        output="source",
        distribution="",
        needs=device.needs,
        runtime=(),
        forecast=None,
        build=build,
        check=msgspec.structs.replace(
            device.check,
            source=(*recipe.check.source, *device.check.source),
            hollow=(*recipe.check.hollow, *device.check.hollow),
        ),
        activate=type(recipe.activate)(),
        device=None,
    )
