"""A small project on disk: lock, recipes, patches and requirement locks, written as text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from strixforge.model.errors import StrixforgeError
from strixforge.model.lock import Lock, load_lock
from strixforge.plan.graph import Plan, load_plan

HASH = "0123456789abcdef" * 4
RECIPE = """\
summary = "a test"
license = "MIT"
output = "prefix"
verified = "source"
"""
PATCH = """\
Description: make it work
Author: A. Person <a@example.org>
Forwarded: no
Last-Update: 2026-01-02
Applies-To: tool

--- a/file
+++ b/file
@@ -1 +1 @@
-old
+new
"""


def toml(value: Any) -> str:
    """Write any value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value) if isinstance(value, float) else json.dumps(value).replace("\\u007f", "?")


def toml_file(table: dict[str, Any]) -> str:
    """Write a document."""
    return "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in table.items())


def refusal(action: Callable[[], object], *kinds: type[StrixforgeError]) -> StrixforgeError | None:
    """Return the error of these kinds that an action ends with, or None."""
    try:
        action()
    except kinds as error:
        return error
    return None


class Home:
    """The folder of dodo.py."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock_file = self.write(
            "toolchain.lock", 'version = 1\ndefault = "main"\n[stack.main]\nsummary = "s"\n'
        )

    def write(self, name: str, text: str) -> Path:
        """Write one file; folders are made."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pin(self, component: str, version: str = "1.0", **more: str | int) -> None:
        """Add a pin; an archive unless `more` says otherwise."""
        values: dict[str, str | int] = {"component": component, "version": version}
        values |= {"source": "archive", "epoch": 1_600_000_000}
        if "source" not in more:
            values |= {"url": f"https://example.org/{component}-{version}.tar.gz", "sha256": HASH}
        values |= more
        lines = [f"{key} = {value!r}\n" for key, value in values.items()]
        with self.lock_file.open("a") as file:
            file.write("[[stack.main.pin]]\n" + "".join(lines))

    def recipe(self, component: str, top: str = "", rest: str = "") -> Path:
        """Write a recipe; `top` stands before the tables, `rest` after [build]'s steps."""
        body = f"{RECIPE}{top}\n[build]\nsteps = ['true']\n{rest}\n"
        return self.write(f"recipes/{component}.toml", body)

    def component(self, component: str, top: str = "", rest: str = "") -> None:
        """Add a pin and a recipe."""
        self.pin(component)
        self.recipe(component, top, rest)

    def lock(self) -> Lock:
        """Read the lock."""
        return load_lock(self.lock_file)

    def plan(self, arch: str = "gfx1151", **versions: str) -> Plan:
        """Load the plan of the one stack."""
        return load_plan(self.root, self.lock(), "main", arch, versions)
