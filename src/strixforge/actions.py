"""What the tasks do: fetch, build, restore and collect, with what the user is told of it.

What only an action needs is imported there: `doit list` and an up-to-date run load none of it.
"""

import errno
import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from strixforge.model.errors import GateError, HostError, IntegrityError, StrixforgeError, ToolError
from strixforge.model.lock import require_pinned
from strixforge.plan.graph import Component
from strixforge.plan.requirements import Requirements, load_requirements
from strixforge.release.inputs import is_current, wheelhouse_inputs, wheelhouse_requirements
from strixforge.sources import kind_of
from strixforge.store.lock import exclusive
from strixforge.store.store import Record
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

if TYPE_CHECKING:
    from strixforge.forge import build as forge

_DOWNLOADS = 8  # at once, for each component


def shown(action: Callable[[], object]) -> Callable[[], object]:
    """Wrap an action: its errors reach the reporter as blocks instead of tracebacks."""

    @functools.wraps(action)
    def run() -> object:
        from strixforge.ui.reporter import Failure

        try:
            action()
        except StrixforgeError as error:
            return Failure(error)
        except OSError as error:
            return Failure(_host_error(error))
        return True

    return run


def _host_error(error: OSError) -> HostError:
    """Turn a full disk or a missing permission into a sentence."""
    full = (errno.ENOSPC, errno.EDQUOT)
    # shutil collects what it met over a whole tree, as texts.
    if error.errno in full or any(f"[Errno {number}]" in str(error.args) for number in full):
        return HostError(
            "the disk is full.",
            where=str(error.filename or "build/ or the download cache"),
            cause="Nothing half written was kept.",
            fix="Free space, or use another disk: store=/other/disk/store cache=/other/disk/cache",
        )
    return HostError(
        f"{error.strerror or str(error)[:200]}.",
        where=str(error.filename or ""),
        cause="The file system refused it.",
        fix="Mend that, then give the same command again.",
    )


def needs_fetch(ws: Workspace, name: str) -> bool:
    """Say whether the component must download something before it can be built or restored."""
    return ws.status(name).record is None and lacks_sources(ws, name)


def lacks_sources(ws: Workspace, name: str) -> bool:
    """Say whether something that the component is built from is not in the cache."""
    from strixforge.sources.index import wheel_missing

    component = ws.plan.components[name]
    return kind_of(component.pin).missing(component.pin, ws.cache) or any(
        wheel_missing(locked, ws.cache) for locked in component.requirements.locked
    )


def fetch(ws: Workspace, name: str) -> None:
    """Download the component's source and the wheels of its build requirements, in parallel."""
    component = ws.plan.components[name]
    require_pinned(component.pin, where=f"{ws.lock.file}: {name}")
    if kind_of(component.pin).missing(component.pin, ws.cache):
        with BOARD.activity(f"fetch {name}") as activity:
            kind_of(component.pin).fetch(component.pin, ws.cache, activity.progress)
        BOARD.say(name, f"fetched {component.pin.version}")
    fetch_requirements(ws, name, component.requirements)


def fetch_requirements(ws: Workspace, name: str, requirements: Requirements) -> None:
    """Download the wheels of locked requirements, several at a time."""
    from concurrent.futures import ThreadPoolExecutor

    from strixforge.sources.index import fetch_wheel, wheel_missing

    wanted = [one for one in requirements.locked if wheel_missing(one, ws.cache)]

    def one(number: int) -> None:
        locked = wanted[number]
        with BOARD.activity(locked.name) as activity:
            fetch_wheel(locked, ws.cache, activity.progress)

    pool = ThreadPoolExecutor(max_workers=_DOWNLOADS)
    try:
        list(pool.map(one, range(len(wanted))))
    finally:
        pool.shutdown(cancel_futures=True)  # after a failure, the rest is not begun
    if wanted:
        BOARD.say(name, f"fetched {len(wanted)} wheel(s): {', '.join(w.name for w in wanted)}")


def prepare(ws: Workspace, name: str) -> None:
    """Unpack and patch the source, for a look at what would be built."""
    from strixforge.forge.prepare import prepare as forge_prepare

    component = ws.plan.components[name]
    ws.require_patches(component)
    target = ws.settings.build / "work" / ws.plan.stack / f"{name}.prepared"
    target.parent.mkdir(parents=True, exist_ok=True)
    forge_prepare(component, ws.cache, ws.settings.home, target)
    for patch in component.patches:
        BOARD.say(name, f"applied {patch.path.name}: {patch.description}")
    for patch, why in component.skipped:
        BOARD.say(name, f"skipped {patch.path.name} ({why})")
    BOARD.say(name, f"prepared source: {target}")


def build(ws: Workspace, name: str) -> None:
    """Restore the component by its key, or build and publish it."""
    status = ws.status(name)
    if status.key is None or status.document is None:
        raise GateError(f"{name} waits for {', '.join(status.waits_for)}.")
    key = status.key
    place = ws.settings.store / "locks" / key
    wait = functools.partial(BOARD.say, name, "another run is building it; waiting")
    with exclusive(place, wait):
        status = ws.status(name)
        if status.record is not None:
            ws.write_state(name, status.record)
            BOARD.say(name, f"restored from the store ({status.record.output[:12]}…)")
            return
        ws.store.clear_staging(key)
        record = _build(ws, name)
    ws.write_state(name, record)
    BOARD.say(name, f"done in {record.notes['seconds']} s ({record.output[:12]}…)")


def _build(ws: Workspace, name: str) -> Record:
    from strixforge.forge import build as forge

    component = ws.plan.components[name]
    bench = make_bench(ws, component)
    fetch(ws, name)
    with (
        exclusive(
            bench.work.parent / f"{name}.lock", functools.partial(BOARD.say, name, "waiting")
        ),
        ws.forge_lock,
        BOARD.activity(name) as activity,
    ):
        BOARD.say(name, f"log: {bench.log}")
        built = forge.build(
            component, ws.plan, bench, functools.partial(BOARD.say, name), activity.line
        )
        if component.recipe.output == "toolchain":
            for warning in ws.policy.check_toolchain(built.out):
                BOARD.say(name, f"warning: {warning}")
        ws.require_unchanged(component)
        document = ws.status(name).document
        if document is None:  # pragma: no cover - build() has looked
            raise GateError(f"the needs of {name} went away while it was built.")
        record = ws.store.publish(document, built.out, built.notes)
        _remove(bench)
    return record


def make_bench(ws: Workspace, component: Component) -> "forge.Bench":
    """Return where a component is built, its needs verified."""
    from strixforge.forge import build as forge

    needs = {}
    for need in component.recipe.needs:
        record = ws.status(need).record
        if record is None:
            raise GateError(
                f"{component.name} needs {need}, which is not built.", fix=f"./doit build_{need}"
            )
        needs[need] = ws.store.verified(record.output, what=need)
    settings = ws.settings
    return forge.Bench(
        home=settings.home,
        cache=ws.cache,
        work=settings.build / "work" / ws.plan.stack / component.name,
        log=settings.build / "logs" / ws.plan.stack / f"{component.name}.log",
        sandbox=settings.sandbox,
        jobs=settings.jobs,
        needs=needs,
    )


def _remove(bench: "forge.Bench") -> None:
    """Remove the work folder of a finished build; the log stays."""
    import shutil

    shutil.rmtree(bench.work, ignore_errors=True)


def runtime(ws: Workspace) -> Requirements:
    """Return the locked wheels that the wheelhouse takes from the index."""
    path = ws.settings.home / "locks" / ws.plan.stack / "wheelhouse.txt"
    return load_requirements(path, wheelhouse_requirements(ws.plan), what="wheelhouse")


def lock(ws: Workspace) -> None:
    """Resolve the Python requirements of the stack's recipes, and write their hashes to locks/."""
    from strixforge.relock import lock_patches, lock_requirements

    for name in lock_patches(ws.settings.home, ws.lock):
        BOARD.say("patches", f"locked anew: {name}")
    for name, changed in lock_requirements(ws):
        BOARD.say(name, "locked anew" if changed else "unchanged")
    BOARD.say("lock", "next: look at `git diff locks/`, then ./doit explain")


def relock_tools(ws: Workspace) -> None:
    """Resolve what strixforge itself runs with."""
    from strixforge.relock import lock_tools

    changed = lock_tools(ws.settings.home)
    BOARD.say("requirements.lock", "locked anew; ./doit installs it" if changed else "unchanged")


def fetch_runtime(ws: Workspace) -> None:
    """Download the wheels that the wheelhouse takes from the index."""
    fetch_requirements(ws, "wheelhouse", runtime(ws))


def lacks_runtime(ws: Workspace) -> bool:
    """Say whether a wheel that the wheelhouse takes from the index is not in the cache."""
    from strixforge.sources.index import wheel_missing

    return any(wheel_missing(one, ws.cache) for one in runtime(ws).locked)


def wheelhouse_place(ws: Workspace) -> Path:
    """Return the folder of the stack's wheelhouse."""
    return ws.settings.build / "wheelhouse" / ws.plan.stack


def wheelhouse_current(ws: Workspace) -> bool:
    """Say whether the wheelhouse is there and made from what is built now."""
    records = {name: ws.status(name).record for name in ws.plan.components}
    known = {name: record for name, record in records.items() if record is not None}
    if len(known) < len(records):
        return False
    wanted = wheelhouse_inputs(ws.plan, known, runtime(ws).locked)
    return is_current(wheelhouse_place(ws), wanted)


def collect(ws: Workspace) -> None:
    """Collect the wheelhouse, and say where it is and what to type next."""
    from strixforge.release import wheelhouse

    records = {}
    for name in ws.plan.components:
        record = ws.status(name).record
        if record is None:
            raise GateError(f"{name} is not built.", fix=f"./doit build_{name}")
        records[name] = record
    fetch_runtime(ws)
    place = wheelhouse_place(ws)
    lock = ws.settings.build / "state" / ws.plan.stack / "wheelhouse.lock"
    with exclusive(
        lock, functools.partial(BOARD.say, "wheelhouse", "another run collects; waiting")
    ):
        items = wheelhouse.collect(ws.plan, records, runtime(ws).locked, ws.store, ws.cache, place)
    counts = wheelhouse.summary(items)
    BOARD.say(
        "wheelhouse",
        f"{counts['wheels']} wheels and {counts['prefixes']} prefixes, "
        f"{counts['bytes'] / 1e6:.1f} MB: {place}",
    )


def say_next(ws: Workspace) -> None:
    """Tell how to use the wheelhouse."""
    place = wheelhouse_place(ws)
    BOARD.write(
        f"\nThe wheelhouse of stack {ws.plan.stack} is complete. Install it, with no network:\n"
        f"  {shlex.quote(str(place / 'install.sh'))} ~/strixforge-{ws.plan.stack}\n"
        f"  . ~/strixforge-{ws.plan.stack}/activate.sh"
    )


def verify(ws: Workspace) -> None:
    """Hash everything in the store; set damaged artifacts aside so that they are made again."""
    names: dict[str, str] = {}
    bad = 0
    for path in sorted((ws.store.root / "records").glob("*.json")):
        try:
            record = ws.store.record(path.stem)
        except IntegrityError as error:
            bad += 1
            path.unlink()
            BOARD.say("verify", f"{error.what}\nremoved: {path}")
        else:
            if record is not None:
                names[record.output] = record.document["component"]
    for output in ws.store.objects():
        name = names.get(output, output[:12])
        try:
            ws.store.verified(output, what=name)
        except StrixforgeError as error:
            bad += 1
            BOARD.say("verify", f"{error.what}\nset aside: {ws.store.set_aside(output)}")
    ws.forget()
    BOARD.say("verify", f"{len(ws.store.objects())} artifacts are whole")
    if bad:
        raise IntegrityError(
            f"{bad} artifacts or records of the store were damaged; they are out of the way now.",
            where=str(ws.store.root),
            cause="Something wrote into the store, or the disk is failing.",
            fix="Give your build command again: it makes anew what is missing.",
        )


def run_tool(ws: Workspace, command: list[str]) -> None:
    """Run a tool over strixforge's own code. Raises StepError when it is not content."""
    import subprocess

    done = subprocess.run(command, cwd=ws.settings.home, check=False)
    if done.returncode:
        raise ToolError(
            f"{' '.join(command[2:])} ended with {done.returncode}.", fix="The lines above say why."
        )
