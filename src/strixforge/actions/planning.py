"""`doit plan`: the order of building, what is open, and what it will cost."""

from strixforge.host import machine
from strixforge.host.gpu import find_host
from strixforge.model.errors import StrixforgeError, UnpinnedError
from strixforge.model.packages import load_packages
from strixforge.model.pins import AptPin, SystemPin
from strixforge.model.sizes import size_text
from strixforge.plan.forecast import costs, too_large
from strixforge.plan.graph import Component, Plan, load_plan
from strixforge.sources import kind_of
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

_CHANGING = ("arch", "root")
"""Variables under which a stack is another one than its summary says, as versions do."""
_COLUMNS = ("component", "version", "output", "verified", "state")


def state_of(ws: Workspace, name: str) -> str:
    """Return in words whether a component is built, or why not."""
    status = ws.status(name)
    if status.unpinned is not None:
        return f"unresolved: {_missing(ws.plan.component(name), status.unpinned)}"
    if status.waits_for:
        first = [one for one in status.waits_for if one != ws.plan.root] or [ws.plan.root or ""]
        return f"known after {', '.join(first[:3])}{' …' if len(first) > 3 else ''}"
    if status.record is None:
        return "to build" if ws.plan.component(name).is_built else "to unpack"
    return "built" if ws.last_key(name) == status.key else "in the store, to restore"


def _missing(component: Component, error: UnpinnedError) -> str:
    for field in ("commit", "sha256"):
        if getattr(component.pin, field, "") == "unresolved":
            return field
    return error.what.rstrip(".")


def stack_in_words(ws: Workspace) -> str:
    """Return which stack this is; its summary speaks of it as it is in the lock."""
    other = {name: text for name, text in ws.settings.given.items() if name in _CHANGING}
    other |= ws.settings.versions
    stack = ws.lock.stack(ws.plan.stack)
    head = f"stack {stack.name} for {ws.plan.arch}"
    if other:
        return f"{head}, with {' '.join(f'{name}={text}' for name, text in other.items())}"
    return f"{head}: {stack.summary}"


def root_in_words(ws: Workspace) -> str:
    """Return what builds see as /."""
    python = f"with Python {ws.plan.python.short}"
    if ws.plan.root is None:
        return f"the host's own system, {python}"
    pin = ws.plan.component(ws.plan.root).pin
    try:
        kind_of(pin).digest(pin, ws.site)
    except StrixforgeError:
        python = "which is not locked"
    return f"the root {ws.plan.root}, {python}"


def plan(ws: Workspace, pins: bool = False) -> None:  # noqa: FBT002 - doit hands over its options
    """Show the order of building, what is unresolved, and the forecast; with `pins`, everything."""
    if pins:
        _everything(ws)
        return
    BOARD.write(stack_in_words(ws))
    BOARD.write(f"builds see {root_in_words(ws)}\n")
    rows = [_COLUMNS, *(_row(ws, name) for name in ws.plan.components)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        BOARD.write("  " + "  ".join(cells).rstrip())
    BOARD.write("verified: how far the recipe has really been run\n")
    for lines in (_patches(ws), _unresolved(ws), _forecast(ws), _better(ws)):
        if lines:
            BOARD.write("\n".join(lines) + "\n")
    again = f"./doit {ws.settings.words()}"
    BOARD.write(f"more:  {again}plan --pins\n       {again}policy\n       {again}explain")


def _row(ws: Workspace, name: str) -> tuple[str, ...]:
    component = ws.plan.component(name)
    recipe = component.recipe
    return (name, component.pin.version, recipe.output, recipe.verified, state_of(ws, name))


def _patches(ws: Workspace) -> list[str]:
    lines = []
    for name, component in ws.plan.components.items():
        lines += [f"  {name}: {patch.path.name}" for patch in component.patches]
        lines += [
            f"  {name}: not {patch.path.name} ({why})"
            for patch, why in component.skipped
            if why.startswith("droppable")
        ]
    return ["patches", *lines] if lines else []


def _unresolved(ws: Workspace) -> list[str]:
    lines = []
    for name in ws.plan.components:
        error = ws.status(name).unpinned
        if error is not None:
            lines.append(f"  {name}: {error.what.partition(';')[0].rstrip('.')}")
    if not lines:
        return []
    hint = f"  ./doit {ws.settings.words()}lock    (resolves it where the network has its hosts)"
    return ["unresolved, and therefore not built", *lines, hint]


def _forecast(ws: Workspace) -> list[str]:
    """Return what is known of the cost of all that is not built yet."""
    waiting = [
        ws.plan.component(name)
        for name in ws.plan.closure(ws.plan.shipped())
        if ws.status(name).record is None and ws.plan.component(name).is_built
    ]
    found = costs(waiting)
    if not found:
        return []
    lines = ["forecast, from others' figures and not from this machine"]
    for cost in found:
        parts = [
            f"{size_text(cost.memory)} of memory" if cost.memory else "",
            f"{size_text(cost.disk)} of disk" if cost.disk else "",
            cost.time,
        ]
        lines.append(f"  {cost.name}: {', '.join(filter(None, parts))}")
        lines.append(f"    {cost.source}")
    rest = [one.name for one in waiting if one.name not in {cost.name for cost in found}]
    if rest:
        lines.append(f"  nothing is known of: {', '.join(rest)}")
    have, free = machine.memory(), machine.disk(ws.settings.build)
    lines.append(f"  here: {size_text(have)} of memory, {size_text(free)} of disk free")
    lines += [
        f"  {cost.name} cannot be built here: it needs more than {size_text(cost.memory)}"
        for cost in too_large(found, have)
        if not ws.settings.unchecked
    ]
    return lines


def better_stack(ws: Workspace) -> tuple[str, str] | None:
    """Return another stack that fits this machine better, and why; None where none does."""
    memory = machine.memory()
    reason = "" if ws.settings.elsewhere else _refused_here(ws, ws.plan)
    heavy = too_large(costs(ws.plan.components.values()), memory)
    if not reason and heavy:
        names = ", ".join(one.name for one in heavy)
        reason = f"{names} needs more memory than the {size_text(memory)} of this machine"
    if not reason:
        return None
    for name, stack in ws.lock.stacks.items():
        if name == ws.plan.stack or not any(pin.component == "vllm" for pin in stack.pins):
            continue
        try:
            other = load_plan(ws.settings.home, ws.lock, name, ws.plan.arch, {}, stack.root)
        except StrixforgeError:
            continue  # its own runs say what is wrong with it
        if too_large(costs(other.components.values()), memory):
            continue
        if ws.settings.elsewhere or not _refused_here(ws, other):
            return name, reason.rstrip(".")
    return None


def _refused_here(ws: Workspace, plan: Plan) -> str:
    """Return why the policy refuses a stack on this machine, or nothing."""
    host = find_host()
    for component in plan.components.values():
        pin = component.pin
        if component.recipe.output == "toolchain" and not isinstance(pin, SystemPin):
            place = f"pin of {component.name}"
            refusal = ws.policy.check_host(pin.version, host.gpus, plan.arch, place)[1]
            if refusal is not None:
                return refusal.what
    refusal = ws.policy.check_combinations(plan.versions(), plan.arch, host)[1]
    return refusal.what if refusal is not None else ""


def _better(ws: Workspace) -> list[str]:
    better = better_stack(ws)
    if better is None:
        return []
    return [
        f"stack {better[0]} fits this machine better: {better[1]}.\n  ./doit stack={better[0]} plan"
    ]


def _everything(ws: Workspace) -> None:
    """Show keys, needs, patches and pins of each component."""
    BOARD.write(f"stack {ws.plan.stack}, arch {ws.plan.arch}, in the order of building:")
    BOARD.write(f"builds see {root_in_words(ws)}")
    for name, component in ws.plan.components.items():
        now = ws.status(name)
        recipe = component.recipe
        BOARD.say(name, f"{component.pin.version}  {recipe.output}  {state_of(ws, name)}")
        lines = [f"key        {now.key[:16]}…"] if now.key else []
        lines += [
            f"needs      {', '.join(ws.plan.needs(name)) or 'nothing'}",
            f"verified   {recipe.verified}: how far this recipe has really been run",
        ]
        if now.record is not None:
            lines.append(
                f"output     {now.record.output[:16]}…, built in {now.record.notes['seconds']} s"
            )
        lines += _of_packages(ws, component)
        if now.record is not None and recipe.output == "toolchain":
            lines += [f"{name:<10} {text}" for name, text in _facts(ws, name)]
        lines += [f"patch      {patch.path.name}" for patch in component.patches]
        lines += [f"no patch   {patch.path.name} ({why})" for patch, why in component.skipped]
        if component.pin.note:
            lines.append(f"pin        {component.pin.note}")
        BOARD.say("", "\n".join(lines))


def _of_packages(ws: Workspace, component: Component) -> list[str]:
    if not isinstance(component.pin, AptPin):
        return []
    try:
        packages = load_packages(ws.settings.home, component.pin)
    except UnpinnedError:
        return ["packages   not locked yet"]
    size = f"{packages.bytes() / 1e6:.0f} MB"
    return [f"packages   {len(packages.package)}, {size}, of {packages.release[0].date}"]


def _facts(ws: Workspace, name: str) -> list[tuple[str, str]]:
    """Return what recipes can name of a toolchain, in words."""
    facts = ws.toolchain(name).facts
    versions = {"ROCm": facts.release, "HIP": facts.hip_version, "clang": facts.clang_version}
    said = ", ".join(f"{part} {version}" for part, version in versions.items() if version)
    system = isinstance(ws.plan.component(name).pin, SystemPin) and ws.plan.root is None
    lies = str(ws.toolchain(name).folder) if system else ""
    known = {"says it is": said, "lies in": lies, "seen at": facts.prefix, "bitcode": facts.bitcode}
    return [(label, text) for label, text in known.items() if text]
