"""What is looked at before the first long step: pins, memory, disk, programs, the sandbox."""

import shutil
from pathlib import Path

from strixforge.forge import hostroot
from strixforge.forge.sandbox import choose_kind
from strixforge.host import machine
from strixforge.model.errors import HostError, UnpinnedError
from strixforge.model.sizes import size_text
from strixforge.plan.forecast import Cost, costs, too_large
from strixforge.plan.graph import Component
from strixforge.workspace import Workspace

_RESERVE = 2 << 30
"""Bytes of disk that are left over for logs and what no forecast counts."""


def check(ws: Workspace, wanted: list[str]) -> None:
    """Check what this run is going to build, and the key it is going to sign with.

    Raises UsageError, UnpinnedError, HostError or SandboxError.
    """
    if ws.settings.sign_with is not None:
        from strixforge.attest.signing import signer

        signer(ws.settings.sign_with)
    names = ws.plan.closure(wanted)
    missing = [name for name in names if ws.status(name).record is None]
    if not missing:
        return
    components = [ws.plan.component(name) for name in missing]
    _require_pins(ws, missing, components)
    if any(one.is_built for one in components):
        choose_kind(ws.settings.sandbox)
        require_programs(ws, components)
    if not ws.settings.unchecked:
        _require_fit(ws, costs(components))


def _require_pins(ws: Workspace, names: list[str], components: list[Component]) -> None:
    """Raise UnpinnedError for all that is not pinned, at once, with what else is in the way."""
    found = [error for name in names if (error := ws.status(name).unpinned) is not None]
    beyond = [] if ws.settings.unchecked else too_large(costs(components), machine.memory())
    also = "".join(
        f"\n{one.name} cannot be built here even then: it needs more than {size_text(one.memory)}."
        for one in beyond
    )
    if len(found) == 1:
        found[0].cause += also
        raise found[0]
    if found:
        raise UnpinnedError(
            f"{len(found)} components are not pinned; nothing unpinned is built.",
            where="\n".join(error.what for error in found),
            cause="Their commits or hashes were not known when the lock was written." + also,
            fix="./doit lock    (resolves them where the network has their hosts)",
        )


def require_programs(ws: Workspace, components: list[Component]) -> None:
    """Raise HostError for programs that a build calls and the root does not have."""
    wanted = {program: one.name for one in components for program in one.recipe.host}
    if ws.plan.root is None:
        lacks = {p: n for p, n in wanted.items() if not shutil.which(p, path=hostroot.SYSTEM_PATH)}
        fix = f"Install {', '.join(sorted(lacks))}    (docs/how-to/first-build.md, host packages)"
    else:
        record = ws.status(ws.plan.root).record
        if record is None:
            return  # it is unpacked first, and then asked for each component
        tree = ws.store.tree(record.output)
        lacks = {p: n for p, n in wanted.items() if not _in_tree(tree, p)}
        fix = f"Add what brings them to `packages` of the root {ws.plan.root}, then: ./doit lock"
    if lacks:
        raise HostError(
            f"builds call programs that are not there: {', '.join(sorted(lacks))}.",
            where="\n".join(f"{program}: recipe of {name}" for program, name in lacks.items()),
            fix=fix,
        )


def _in_tree(tree: Path, program: str) -> bool:
    return any(
        (tree / place / program).is_symlink() or (tree / place / program).exists()
        for place in ("usr/bin", "bin")
    )


def _require_fit(ws: Workspace, found: list[Cost]) -> None:
    """Raise HostError where memory or disk cannot be enough, by what the recipes' sources say."""
    have = machine.memory()
    beyond = too_large(found, have)
    anyway = f"./doit {ws.settings.words()}fit=unchecked …    (tries it all the same)"
    if beyond:
        raise HostError(
            f"{', '.join(one.name for one in beyond)} cannot be built with "
            f"{size_text(have)} of memory.",
            where="\n".join(
                f"{o.name}: more than {size_text(o.memory)}, {o.source}" for o in beyond
            ),
            cause="Known before the build, which would run for hours and then be killed.",
            fix=f"Build it on a larger machine and share its store: store=/shared/store\n{anyway}",
        )
    needed = sum(one.disk for one in found) + _RESERVE if found else 0
    free = machine.disk(ws.settings.build)
    if needed > free:
        raise HostError(
            f"the disk has {size_text(free)} free, and this needs {size_text(needed)} or more.",
            where=str(ws.settings.build),
            cause=", ".join(f"{one.name} {size_text(one.disk)}" for one in found if one.disk),
            fix=f"Free space there, or work in a clone on another disk.\n{anyway}",
        )
