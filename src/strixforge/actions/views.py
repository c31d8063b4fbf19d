"""What is shown and changes nothing: the state at a glance, the plan, the reasons for a rebuild."""

from strixforge.actions import collecting
from strixforge.model.errors import StrixforgeError, UnpinnedError
from strixforge.model.packages import load_packages
from strixforge.model.pins import AptPin, SystemPin
from strixforge.plan.explain import differences
from strixforge.plan.graph import Component
from strixforge.sources import kind_of
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def _state(ws: Workspace, name: str) -> str:
    """Return one word and its reason."""
    status = ws.status(name)
    if status.waits_for:
        return f"known after {', '.join(status.waits_for)}"
    if status.record is None:
        return "to build"
    return "built" if ws.last_key(name) == status.key else "in the store, to restore"


def status(ws: Workspace) -> None:
    """Show the stack at a glance, and what to type next."""
    stack = ws.lock.stack(ws.plan.stack)
    others = [name for name in ws.lock.stacks if name != stack.name]
    BOARD.write(f"stack {stack.name} for {ws.plan.arch}: {stack.summary}")
    BOARD.write(f"builds see {_root(ws)}")
    for name, component in ws.plan.components.items():
        BOARD.say(f"  {name}", f"{component.pin.version:<10} {_state(ws, name)}")
    current = collecting.wheelhouse_current(ws)
    place = collecting.wheelhouse_place(ws)
    BOARD.say("  wheelhouse", f"complete: {place}" if current else "not made, or not of this state")
    if others:
        BOARD.write(f"other stacks: {', '.join(others)}    (doit stack=NAME)")
    if current:
        collecting.say_next(ws)
    else:
        BOARD.write(f"next:  ./doit {ws.settings.words()}wheelhouse    (all tasks: ./doit list)")


def plan(ws: Workspace) -> None:
    """Show order, pins, patches, keys, and what would happen."""
    BOARD.write(f"stack {ws.plan.stack}, arch {ws.plan.arch}, in the order of building:")
    BOARD.write(f"builds see {_root(ws)}")
    for name, component in ws.plan.components.items():
        now = ws.status(name)
        recipe = component.recipe
        BOARD.say(name, f"{component.pin.version}  {recipe.output}  {_state(ws, name)}")
        key = f"{now.key[:16]}…" if now.key else f"known after {', '.join(now.waits_for)}"
        lines = [
            f"key        {key}",
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


def _root(ws: Workspace) -> str:
    """Return what builds see as /, in words."""
    python = f"with Python {ws.plan.python.short}"
    if ws.plan.root is None:
        return f"the host's own system, {python}"
    pin = ws.plan.component(ws.plan.root).pin
    try:
        kind_of(pin).digest(pin, ws.site)
    except StrixforgeError:
        python = "which is not locked"
    return f"the root {ws.plan.root}, {python}"


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


def explain(ws: Workspace) -> None:
    """Compare each component's key document with the one it was last built from."""
    for name in ws.plan.components:
        now = ws.status(name)
        if now.document is None:
            waits = ", ".join(now.waits_for)
            BOARD.say(name, f"known after {waits}: only what comes out otherwise counts")
            continue
        last = ws.last_key(name)
        if last is None:
            BOARD.say(name, "in the store" if now.record else "not built in this clone yet")
        elif last == now.key:
            BOARD.say(name, "unchanged" if now.record else "unchanged, but gone from the store")
        else:
            record = ws.store.record(last)
            if record is None:
                BOARD.say(name, "changed; the record of the last build is gone from the store")
                continue
            verb = "will be restored" if now.record else "will be built again"
            found = differences(record.document, now.document)
            BOARD.say(name, "\n".join([f"{verb}, because:", *(f"  {one}" for one in found)]))
