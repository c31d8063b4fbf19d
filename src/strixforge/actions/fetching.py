"""Downloads: sources, build requirements, and what the wheelhouse takes from the index."""

from strixforge.model.packages import load_packages
from strixforge.model.pins import AptPin, require_pinned
from strixforge.plan.graph import Component
from strixforge.plan.requirements import Requirements, load_requirements
from strixforge.release.inputs import wheelhouse_requirements
from strixforge.sources import kind_of
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

_DOWNLOADS = 8  # at once, for each component
_NAMED = 12  # wheels, in the line that says what was fetched


def needs_fetch(ws: Workspace, name: str) -> bool:
    """Say whether the component must download something before it can be built or restored."""
    return ws.status(name).record is None and lacks_sources(ws, name)


def lacks_sources(ws: Workspace, name: str) -> bool:
    """Say whether something that the component is built from is not in the cache."""
    from strixforge.sources.index import wheel_missing

    component = ws.plan.component(name)
    return kind_of(component.pin).missing(component.pin, ws.site) or any(
        wheel_missing(locked, component.python, ws.cache)
        for locked in component.requirements.locked
    )


def fetch(ws: Workspace, name: str) -> None:
    """Download the component's source and the wheels of its build requirements, in parallel."""
    component = ws.plan.component(name)
    ws.require_allowed()
    require_pinned(component.pin, where=f"{ws.lock.file}: {name}")
    if kind_of(component.pin).missing(component.pin, ws.site):
        amount = _amount(ws, component)
        with BOARD.activity(f"fetch {name}") as activity:
            kind_of(component.pin).fetch(component.pin, ws.site, activity.progress)
        BOARD.say(name, f"fetched {amount}")
    fetch_requirements(ws, name, component.requirements)


def _amount(ws: Workspace, component: Component) -> str:
    """Return what is to be fetched, in words."""
    if isinstance(component.pin, AptPin):
        listed = load_packages(ws.settings.home, component.pin).package
        missing = [one for one in listed if ws.cache.find(one.sha256) is None]
        return f"{len(missing)} packages, {sum(one.size for one in missing) / 1e6:.1f} MB"
    return component.pin.version


def fetch_requirements(ws: Workspace, name: str, requirements: Requirements) -> None:
    """Download the wheels of locked requirements, several at a time."""
    from concurrent.futures import ThreadPoolExecutor

    from strixforge.sources.index import fetch_wheel, wheel_missing

    wanted = [one for one in requirements.locked if wheel_missing(one, ws.plan.python, ws.cache)]

    def one(number: int) -> None:
        locked = wanted[number]
        with BOARD.activity(locked.name) as activity:
            fetch_wheel(locked, ws.plan.python, ws.cache, activity.progress)

    pool = ThreadPoolExecutor(max_workers=_DOWNLOADS)
    try:
        list(pool.map(one, range(len(wanted))))
    finally:
        pool.shutdown(cancel_futures=True)  # after a failure, the rest is not begun
    if wanted:
        first = ", ".join(one.name for one in wanted[:_NAMED])
        more = f" and {len(wanted) - _NAMED} more" if len(wanted) > _NAMED else ""
        BOARD.say(name, f"fetched {len(wanted)} wheel(s): {first}{more}")


def runtime(ws: Workspace) -> Requirements:
    """Return the locked wheels that the wheelhouse takes from the index."""
    path = ws.settings.home / "locks" / ws.plan.stack / "wheelhouse.txt"
    return load_requirements(
        path, wheelhouse_requirements(ws.plan), ws.plan.python, what="wheelhouse"
    )


def fetch_runtime(ws: Workspace) -> None:
    """Download the wheels that the wheelhouse takes from the index."""
    fetch_requirements(ws, "wheelhouse", runtime(ws))


def report_runtime(ws: Workspace) -> None:
    """Download the same, and say what it comes to."""
    from strixforge.sources.index import wheel

    fetch_runtime(ws)
    sizes = [wheel(one, ws.plan.python, ws.cache)[1].stat().st_size for one in runtime(ws).locked]
    plan = ws.plan
    built = [plan.component(name).recipe.distribution_of(name) for name in plan.shipped()]
    BOARD.say(
        "runtime",
        f"{len(sizes)} wheels, {sum(sizes) / 1e6:.1f} MB, for Python {plan.python.short}, each by "
        f"its hash\nnot from the index, but built: {', '.join(filter(None, built))}",
    )


def lacks_runtime(ws: Workspace) -> bool:
    """Say whether a wheel that the wheelhouse takes from the index is not in the cache."""
    from strixforge.sources.index import wheel_missing

    return any(wheel_missing(one, ws.plan.python, ws.cache) for one in runtime(ws).locked)
