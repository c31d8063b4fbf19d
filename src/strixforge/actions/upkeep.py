"""The store's health, and the tools over strixforge's own code."""

import subprocess

from strixforge.model.errors import IntegrityError, StrixforgeError, ToolError
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def relock_tools(ws: Workspace) -> None:
    """Resolve what strixforge itself runs with."""
    from strixforge.relock import lock_tools

    changed = lock_tools(ws.settings.home)
    BOARD.say("requirements.lock", "locked anew; ./doit installs it" if changed else "unchanged")


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
    done = subprocess.run(command, cwd=ws.settings.home, check=False)
    if done.returncode:
        raise ToolError(
            f"{' '.join(command[2:])} ended with {done.returncode}.", fix="The lines above say why."
        )
