"""The tools over strixforge's own code, and what it runs with."""

import subprocess

from strixforge.model.errors import ToolError
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def relock_tools(ws: Workspace) -> None:
    """Resolve what strixforge itself runs with."""
    from strixforge.relock import lock_tools

    changed = lock_tools(ws.settings.home)
    BOARD.say("requirements.lock", "locked anew; ./doit installs it" if changed else "unchanged")


def run_tool(ws: Workspace, command: list[str]) -> None:
    """Run a tool over strixforge's own code. Raises StepError when it is not content."""
    done = subprocess.run(command, cwd=ws.settings.home, check=False)
    if done.returncode:
        raise ToolError(
            f"{' '.join(command[2:])} ended with {done.returncode}.", fix="The lines above say why."
        )
