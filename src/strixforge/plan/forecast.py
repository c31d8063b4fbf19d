"""What building some components costs, as far as their recipes' sources say it."""

from collections.abc import Iterable
from dataclasses import dataclass

from strixforge.model.sizes import size_bytes
from strixforge.plan.graph import Component


@dataclass(frozen=True, slots=True)
class Cost:
    """What a recipe's [forecast] says of one component."""

    name: str
    memory: int
    """Bytes at the worst moment; 0 where nobody says."""
    disk: int
    """Bytes; 0 where nobody says."""
    time: str
    source: str


def costs(components: Iterable[Component]) -> list[Cost]:
    """Return the costs of those that are built and whose recipes have a forecast."""
    found = []
    for component in components:
        forecast = component.recipe.forecast
        if forecast is not None and component.is_built:
            found.append(
                Cost(
                    name=component.name,
                    memory=size_bytes(forecast.memory) if forecast.memory else 0,
                    disk=size_bytes(forecast.disk) if forecast.disk else 0,
                    time=forecast.time,
                    source=forecast.source,
                )
            )
    return found


def too_large(found: Iterable[Cost], memory: int) -> list[Cost]:
    """Return what needs more memory than there is, or as much: something else runs there too."""
    return [one for one in found if one.memory >= memory]
