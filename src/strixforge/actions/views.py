"""What is shown and changes nothing: the state at a glance, the plan, the reasons for a rebuild."""

from strixforge.actions import collecting
from strixforge.plan.explain import differences
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
    for name, component in ws.plan.components.items():
        BOARD.say(f"  {name}", f"{component.pin.version:<10} {_state(ws, name)}")
    show_warnings(ws)
    current = collecting.wheelhouse_current(ws)
    place = collecting.wheelhouse_place(ws)
    BOARD.say("  wheelhouse", f"complete: {place}" if current else "not made, or not of this state")
    if others:
        BOARD.write(f"other stacks: {', '.join(others)}    (doit stack=NAME)")
    if current:
        collecting.say_next(ws)
    else:
        BOARD.write(f"next:  ./doit {ws.settings.words()}wheelhouse    (all tasks: ./doit list)")


def show_warnings(ws: Workspace) -> None:
    """Show what the policy warns about."""
    for warning in ws.warnings:
        BOARD.say("warning", warning)


def plan(ws: Workspace) -> None:
    """Show order, pins, patches, keys, and what would happen."""
    show_warnings(ws)
    BOARD.write(f"stack {ws.plan.stack}, arch {ws.plan.arch}, in the order of building:")
    for name, component in ws.plan.components.items():
        now = ws.status(name)
        recipe = component.recipe
        BOARD.say(name, f"{component.pin.version}  {recipe.output}  {_state(ws, name)}")
        key = f"{now.key[:16]}…" if now.key else f"known after {', '.join(now.waits_for)}"
        lines = [
            f"key        {key}",
            f"needs      {', '.join(recipe.needs) or 'nothing'}",
            f"verified   {recipe.verified}: how far this recipe has really been run",
        ]
        if now.record is not None:
            lines.append(
                f"output     {now.record.output[:16]}…, built in {now.record.notes['seconds']} s"
            )
        lines += [f"patch      {patch.path.name}" for patch in component.patches]
        lines += [f"no patch   {patch.path.name} ({why})" for patch, why in component.skipped]
        if component.pin.note:
            lines.append(f"pin        {component.pin.note}")
        BOARD.say("", "\n".join(lines))


def explain(ws: Workspace) -> None:
    """Compare each component's key document with the one it was last built from."""
    for name in ws.plan.components:
        now = ws.status(name)
        if now.document is None:
            waits = ", ".join(now.waits_for)
            BOARD.say(name, f"known after {waits}: if that comes out the same, nothing is rebuilt")
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
