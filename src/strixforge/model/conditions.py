"""Conditions on the pins of a stack: `vllm>=0.10,<0.11.1`, as patches and recipes write them."""

from collections.abc import Iterable, Mapping

from packaging.requirements import InvalidRequirement, Requirement


def holds(conditions: Iterable[str], versions: Mapping[str, str]) -> bool:
    """Say whether all conditions hold for a stack.

    `versions` maps its components to their pinned versions. A component that the stack does not
    have meets no condition. Pre-releases count: 0.13b0 is not >=0.13.
    """
    for text in conditions:
        requirement = Requirement(text)
        version = versions.get(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            return False
    return True


def names(conditions: Iterable[str]) -> set[str]:
    """Return the components that conditions speak of."""
    return {Requirement(text).name for text in conditions}


def unfit(text: str) -> str:
    """Return why a text is no condition, or nothing."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        return f"'{text}' is not a specifier: {str(error).splitlines()[0]}"
    if requirement.url or requirement.extras or requirement.marker:
        return f"'{text}' is more than a name and versions."
    return ""
