"""What is shown and changes nothing: the state at a glance, the policy, reasons for a rebuild."""

import datetime as dt

from strixforge.actions import collecting
from strixforge.actions.planning import better_stack, root_in_words, stack_in_words, state_of
from strixforge.actions.releases import place_of
from strixforge.host.gpu import find_host
from strixforge.model import conditions
from strixforge.model.pins import LocalPin, SystemPin
from strixforge.model.recipe_files import component_names
from strixforge.nightly import generations
from strixforge.plan.explain import differences
from strixforge.plan.graph import Component
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def status(ws: Workspace) -> None:
    """Show the stack at a glance, and what to type next."""
    others = [name for name in ws.lock.stacks if name != ws.plan.stack]
    BOARD.write(stack_in_words(ws))
    BOARD.write(f"builds see {root_in_words(ws)}")
    width = max(len(one.pin.version) for one in ws.plan.components.values())
    for name, component in ws.plan.components.items():
        BOARD.say(f"  {name}", f"{component.pin.version:<{width}} {state_of(ws, name)}")
    current = collecting.wheelhouse_current(ws)
    place = collecting.wheelhouse_place(ws)
    BOARD.say("  wheelhouse", f"complete: {place}" if current else "not made, or not of this state")
    promoted = generations.promoted(place_of(ws))
    if promoted is not None:
        BOARD.say("  promoted", f"{promoted.night}: {place_of(ws) / 'promoted'}")
    better = better_stack(ws)
    if better is not None:
        BOARD.write(f"stack {better[0]} fits this machine better: {better[1]}.")
    if others:
        BOARD.write(f"other stacks: {', '.join(others)}    (./doit stack=NAME …)")
    if current:
        collecting.say_next(ws)
    else:
        again = f"./doit {ws.settings.words()}"
        is_open = any(ws.status(name).unpinned for name in ws.plan.components)
        following = f"{again}{'lock' if is_open else 'wheelhouse'}"
        if better is not None:
            following = f"./doit stack={better[0]} plan\n       {following}"
        BOARD.write(f"next:  {following}")
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
        BOARD.say(one.verdict, lines[0])
        BOARD.say("", "\n".join([*lines[1:], *(f"source: {text}" for text in one.sources)]))
    if not found:
        BOARD.say("not known", "no combination of policy.toml is this one")
    if host is None or host.gpus.of(ws.plan.arch) is None:
        _say_of_its_machine(ws)
    known = component_names(ws.settings.home / "recipes")
    for one in rules.combinations:
        if unknown := conditions.names(one.pins) - known:
            names = ", ".join(sorted(unknown))
            BOARD.say("warning", f"{one.id} never applies: no recipe for {names}")
    never = [f"{', '.join(r.products)} {', '.join(r.releases)} ({r.id})" for r in rules.releases]
    BOARD.write(f"never used: {'; '.join(never)}")


def _say_of_its_machine(ws: Workspace) -> None:
    """Show what depends on kernel and firmware, which are those of another machine."""
    release = next((c.pin.version for c in ws.plan.components.values() if _is_rocm(c)), "")
    rules = ws.policy.on_its_machine(release, ws.plan.versions(), ws.plan.arch)
    if rules:
        BOARD.write(f"\non the machine that runs it, which is not this one ({ws.plan.arch}):")
    for rule in rules:
        conditions = [
            *(f"kernel {one}" for one in getattr(rule, "kernel", ())),
            f"kernel with {rule.kernel_exports}" if rule.kernel_exports else "",
            f"kernel without {rule.kernel_lacks}" if rule.kernel_lacks else "",
            *(f"MES firmware {one:#x}" for one in rule.mes_firmware),
        ]
        where = ", ".join(filter(None, conditions)) or "every kernel"
        BOARD.say(rule.verdict, f"{where}: {rule.id}")
        BOARD.say("", rule.reason)


def _is_rocm(component: Component) -> bool:
    """Say whether a component is a release of ROCm, no stand-in and no distribution's HIP."""
    other = isinstance(component.pin, LocalPin | SystemPin)
    return component.recipe.output == "toolchain" and not other


def explain(ws: Workspace) -> None:
    """Compare each component's key document with the one it was last built from."""
    for name in ws.plan.components:
        now = ws.status(name)
        if now.unpinned is not None:
            BOARD.say(name, f"unresolved: {now.unpinned.what}")
            continue
        if now.document is None:
            waits = ", ".join(now.waits_for)
            BOARD.say(name, f"known after {waits}: if that comes out the same, so is this")
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
