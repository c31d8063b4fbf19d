"""What is shown and changes nothing: the state at a glance, the policy, reasons for a rebuild."""

import datetime as dt

from strixforge.actions import collecting
from strixforge.actions.planning import better_stack, root_in_words, state_of
from strixforge.host.gpu import find_host
from strixforge.model import conditions
from strixforge.model.recipe_files import component_names
from strixforge.plan.explain import differences
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def status(ws: Workspace) -> None:
    """Show the stack at a glance, and what to type next."""
    stack = ws.lock.stack(ws.plan.stack)
    others = [name for name in ws.lock.stacks if name != stack.name]
    BOARD.write(f"stack {stack.name} for {ws.plan.arch}: {stack.summary}")
    BOARD.write(f"builds see {root_in_words(ws)}")
    for name, component in ws.plan.components.items():
        BOARD.say(f"  {name}", f"{component.pin.version:<10} {state_of(ws, name)}")
    current = collecting.wheelhouse_current(ws)
    place = collecting.wheelhouse_place(ws)
    BOARD.say("  wheelhouse", f"complete: {place}" if current else "not made, or not of this state")
    if (better := better_stack(ws)) is not None:
        BOARD.write(f"stack {better[0]} fits this machine better: {better[1]}.")
    if others:
        BOARD.write(f"other stacks: {', '.join(others)}    (doit stack=NAME)")
    if current:
        collecting.say_next(ws)
    else:
        again = f"./doit {ws.settings.words()}"
        is_open = any(ws.status(name).unpinned for name in ws.plan.components)
        BOARD.write(f"next:  {again}{'lock' if is_open else 'wheelhouse'}")
        BOARD.write(f"       {again}plan    (all tasks: ./doit list)")


def policy(ws: Workspace) -> None:
    """Show what the policy knows of the stack, and which releases it never lets in."""
    rules = ws.policy.rules
    host = None if ws.settings.elsewhere else find_host()
    pins = ", ".join(f"{name} {version}" for name, version in ws.plan.versions().items())
    BOARD.write(f"stack {ws.plan.stack} for {ws.plan.arch}: {pins}")
    found = ws.policy.applying(ws.plan.versions(), ws.plan.arch, host)
    today = dt.datetime.now(dt.UTC).date()
    for one in found:
        old = " (to be looked at again)" if one.expired(today) else ""
        lines = [f"{one.id}, confidence {one.confidence}, until {one.expires}{old}", one.reason]
        BOARD.say(one.verdict, "\n".join([*lines, *(f"source: {text}" for text in one.sources)]))
    if not found:
        BOARD.say("not known", "no combination of policy.toml is this one")
    if host is not None and host.gpus.of(ws.plan.arch) is None:
        BOARD.write(f"no {ws.plan.arch} here: what depends on kernel and firmware is left out")
    known = component_names(ws.settings.home / "recipes")
    for one in rules.combinations:
        if unknown := conditions.names(one.pins) - known:
            names = ", ".join(sorted(unknown))
            BOARD.say("warning", f"{one.id} never applies: no recipe for {names}")
    never = [f"{', '.join(r.products)} {', '.join(r.releases)} ({r.id})" for r in rules.releases]
    BOARD.write(f"never used: {'; '.join(never)}")


def explain(ws: Workspace) -> None:
    """Compare each component's key document with the one it was last built from."""
    for name in ws.plan.components:
        now = ws.status(name)
        if now.unpinned is not None:
            BOARD.say(name, f"unresolved: {now.unpinned.what}")
            continue
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
