"""The tasks of doit, made from the plan. What comes before them: starting.py."""

import fnmatch
import functools
import sys
from collections.abc import Iterator
from typing import Any

from strixforge.actions import (
    auditing,
    building,
    bundling,
    collecting,
    devices,
    fetching,
    freeing,
    installing,
    locking,
    nights,
    planning,
    preflight,
    preparing,
    promoting,
    releases,
    reproducing,
    smoking,
    upkeep,
    verifying,
    views,
)
from strixforge.actions.shown import shown
from strixforge.model.errors import StrixforgeError
from strixforge.ui import PREFLIGHT
from strixforge.workspace import Workspace

Task = dict[str, Any]
# The tasks that need all that is shipped.
_COLLECTED = ("wheelhouse", "bundle")


def all_tasks(ws: Workspace) -> Iterator[Task]:
    """Yield every task, in the order that `doit list` shows."""
    yield _simple("status", "the stack at a glance, and what to type next", ws, views.status)
    yield {
        **_simple("plan", "order, what is unresolved, what it will cost", ws, planning.plan),
        "params": [_option("pins", "keys, needs and pins too")],
    }
    yield _simple("policy", "what is known of the stack's combination", ws, views.policy)
    yield _simple("explain", "why components are built again: what changed", ws, views.explain)
    yield {
        **_simple("lock", "write the commits and hashes that are missing", ws, locking.lock),
        "params": [
            _option("check", "ask every pin's source again, and change nothing"),
            _option("move", "the same, and follow tags that moved"),
        ],
    }
    yield from _before(ws)
    yield from _fetch(ws)
    for name in ws.plan.components:
        yield _build(ws, name)
    yield _wheelhouse(ws)
    yield _bundle(ws)
    yield from _devices(ws)
    yield _reproduce(ws)
    summary = "what device code is in the wheelhouse, or in path="
    yield _simple("audit", summary, ws, auditing.audit)
    summary = "what TheRock has released for the GPU, and what the policy says of it"
    yield _simple("releases", summary, ws, releases.releases)
    summary = "try the newest release of the channel, and promote it if it passes"
    yield _simple("nightly", summary, ws, nights.nightly)
    summary = "promote the stack as the lock has it, or release="
    yield _simple("promote", summary, ws, promoting.promote)
    summary = "run what is promoted, or an installation at path=, on this machine's GPU"
    yield _simple("smoke", summary, ws, smoking.smoke)
    yield _simple("rollback", "go back to what was promoted before", ws, promoting.rollback)
    summary = "download what the wheelhouse takes from the index, and say what it comes to"
    yield _simple("fetch_runtime", summary, ws, fetching.report_runtime)
    for name, component in ws.plan.components.items():
        fetch = [f"fetch:{name}"]
        summary = f"unpack, patch and check the source of {name}"
        root = [f"build_{need}" for need in ws.plan.needs(name) if need == ws.plan.root]
        in_root = component.recipe.build.prepare or not component.is_built
        first = [*(fetch if ws.settings.source is None else []), *(root if in_root else [])]
        yield _simple(f"prepare_{name}", summary, ws, preparing.prepare, name, task_dep=first)
        needs = [f"build_{need}" for need in ws.plan.needs(name)]
        if not ws.plan.component(name).is_built:
            continue
        summary = f"a shell in the sandbox of {name}, where its build stopped"
        yield _simple(f"shell_{name}", summary, ws, building.shell, name, task_dep=fetch + needs)
    summary = "write what makes nights run by themselves: a systemd timer, or a workflow"
    yield _simple("nightly_install", summary, ws, installing.install_nights)
    summary = "free the disk of what neither lock nor promoted stacks need"
    yield _simple("gc", summary, ws, freeing.gc)
    yield from _for_developers(ws)
    summary = "check store, wheelhouse and bundle, or a bundle at path="
    yield _simple("verify", summary, ws, verifying.verify)


def _for_developers(ws: Workspace) -> Iterator[Task]:
    """Yield the tasks of those who work on strixforge itself."""
    python = [sys.executable, "-m"]
    fast = ["pytest", "-m", "not slow", "-q"]
    checks = [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]]
    yield _simple("test", "run strixforge's own tests", ws, upkeep.run_tool, [*python, *fast])
    yield {
        "basename": "lint",
        "doc": "ruff and mypy --strict over strixforge's own code",
        "actions": [_action(upkeep.run_tool, ws, [*python, *check]) for check in checks],
        "io": {"capture": False},
    }
    summary = "resolve what strixforge itself runs with: requirements.lock"
    yield _simple("lock_tools", summary, ws, upkeep.relock_tools)


def _action(function: Any, ws: Workspace, *arguments: object) -> tuple[Any, ...]:
    return (shown(functools.partial(function, ws, *arguments), ws.settings.words()),)


def _simple(
    name: str, doc: str, ws: Workspace, function: Any, *arguments: object, **more: object
) -> Task:
    return {
        "basename": name,
        "doc": doc,
        "actions": [_action(function, ws, *arguments)],
        "io": {"capture": False},
        **more,
    }


def _option(name: str, summary: str) -> dict[str, Any]:
    """Return an option of a task, as it stands after the task's name: ./doit lock --check."""
    return {"name": name, "long": name, "type": bool, "default": False, "help": summary}


def _fetch(ws: Workspace) -> Iterator[Task]:
    yield {
        "basename": "fetch",
        "name": None,
        "doc": "download all sources of the stack; the rest needs no network",
    }
    everything = [
        *((name, fetching.fetch, fetching.lacks_sources, (name,)) for name in ws.plan.components),
        ("wheelhouse", fetching.fetch_runtime, fetching.lacks_runtime, ()),
    ]
    for name, fetch, lacks, arguments in everything:
        yield {
            "basename": "fetch",
            "name": name,
            "doc": f"download what {name} is made from",
            "actions": [_action(fetch, ws, *arguments)],
            "uptodate": [functools.partial(_not, lacks, ws, *arguments)],
            "io": {"capture": False},
            "meta": {"output": f"fetch:{name}"},
        }
    # What a build depends on: all downloads begin at once, but not those of a component that will
    # be restored.
    for name in (*ws.plan.components, *ws.plan.devices):
        yield {
            "basename": f"_sources_{name}",
            "task_dep": [PREFLIGHT],
            "actions": [_action(fetching.fetch, ws, name)],
            "uptodate": [functools.partial(_not, fetching.needs_fetch, ws, name)],
            "io": {"capture": False},
        }


def _before(ws: Workspace) -> Iterator[Task]:
    """Yield what runs before anything is built."""
    yield {
        "basename": PREFLIGHT,
        "actions": [_action(preflight.check, ws, wanted(ws))],
        "io": {"capture": False},
    }
    yield {
        "basename": "_sources_wheelhouse",
        "actions": [_action(fetching.fetch_runtime, ws)],
        "uptodate": [functools.partial(_not, fetching.lacks_runtime, ws)],
        "task_dep": [PREFLIGHT],
        "io": {"capture": False},
    }


def _build(ws: Workspace, name: str) -> Task:
    component = ws.plan.component(name)
    return {
        "basename": f"build_{name}",
        "doc": component.recipe.summary,
        "actions": [_action(building.build, ws, name)],
        "task_dep": [
            PREFLIGHT,
            f"_sources_{name}",
            *_sources_of_run(ws),
            *(f"build_{need}" for need in ws.plan.needs(name)),
        ],
        "targets": [str(ws.state_file(name))],
        "uptodate": [functools.partial(_quiet, ws.up_to_date, name)],
        "io": {"capture": False},
        "meta": {"output": name},
    }


def wanted(ws: Workspace) -> list[str]:
    """Return the components that the tasks of this command line are about."""
    found: list[str] = []
    names = (*ws.plan.components, *ws.plan.devices)
    tasks = [*_COLLECTED, *ws.plan.devices]
    tasks += [f"{verb}_{name}" for verb in ("build", "shell") for name in names]
    words = [
        one
        for word in sys.argv[1:]
        for one in (fnmatch.filter(tasks, word) if "*" in word else [word])
    ]
    for word in words:
        name = word.removeprefix("build_").removeprefix("shell_")
        if word == "reproduce" and ws.settings.only:
            found.append(ws.settings.only)
        elif word in _COLLECTED or word == "reproduce":
            found += ws.plan.shipped()
        elif name in ws.plan.devices or (word != name and name in ws.plan.components):
            found.append(name)
    return found


def _sources_of_run(ws: Workspace) -> list[str]:
    """Return what fetches everything that this run needs: a lost file is found before it builds."""
    wheelhouse = ["_sources_wheelhouse"] if set(_COLLECTED) & set(sys.argv[1:]) else []
    return [*(f"_sources_{name}" for name in ws.plan.closure(wanted(ws))), *wheelhouse]


def _wheelhouse(ws: Workspace) -> Task:
    return {
        "basename": "wheelhouse",
        "doc": "everything of the stack, checked, locked, with installer and activation",
        "actions": [_action(collecting.collect, ws), _action(collecting.say_next, ws)],
        "task_dep": [f"build_{name}" for name in ws.plan.closure(ws.plan.shipped())],
        "uptodate": [functools.partial(_quiet, collecting.wheelhouse_current, ws)],
        "io": {"capture": False},
        "meta": {"output": "wheelhouse"},
    }


def _bundle(ws: Workspace) -> Task:
    return {
        "basename": "bundle",
        "doc": "the wheelhouse as one archive, for a machine without network",
        "actions": [_action(bundling.bundle, ws)],
        "task_dep": ["wheelhouse"],
        "uptodate": [functools.partial(_quiet, bundling.bundle_current, ws)],
        "io": {"capture": False},
        "meta": {"output": "bundle"},
    }


def _reproduce(ws: Workspace) -> Task:
    only = ws.settings.only
    summary = "build everything again in other circumstances, and compare every byte"
    first = [f"build_{only}"] if only else ["wheelhouse"]
    return _simple("reproduce", summary, ws, reproducing.reproduce, task_dep=first)


def _devices(ws: Workspace) -> Iterator[Task]:
    """Yield what compiles and reports the device code of a component alone."""
    for name, component in ws.plan.devices.items():
        needs = [f"build_{need}" for need in ws.plan.needs(name)]
        yield {
            "basename": name,
            "doc": f"compile all device code of {component.pin.component}, and report every kernel",
            "actions": [_action(building.build, ws, name), _action(devices.report, ws, name)],
            "task_dep": [f"_sources_{name}", *needs],
            "io": {"capture": False},
        }
        summary = f"a shell in the sandbox of {name}, where it stopped"
        first = [f"_sources_{name}", *needs]
        yield _simple(f"shell_{name}", summary, ws, building.shell, name, task_dep=first)


def _quiet(check: Any, *arguments: object) -> bool:
    """Ask whether something is up to date; where asking fails, the action says why."""
    try:
        return bool(check(*arguments))
    except (StrixforgeError, OSError):
        return False


def _not(check: Any, *arguments: object) -> bool:
    try:
        return not check(*arguments)
    except (StrixforgeError, OSError):
        return False
