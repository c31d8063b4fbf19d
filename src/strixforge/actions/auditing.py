"""`doit audit`: what device code is in the stack's wheelhouse, or in anything else."""

import json
from pathlib import Path

from strixforge.actions.collecting import wheelhouse_place
from strixforge.model.errors import GateError, UsageError
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

_SHOWN = 20


def audit(ws: Workspace) -> None:
    """Show every file with device code, write all of it as JSON, and judge it for the target.

    Raises GateError with what does not pass, UsageError where there is nothing to look at.
    """
    import msgspec

    from strixforge.audit.report import SCHEMA, table
    from strixforge.audit.report import audit as look

    path = _place(ws)
    recipes = [component.recipe for component in ws.plan.components.values()]
    allowed = [one.kernels for recipe in recipes for one in recipe.check.hollow]
    with BOARD.activity("audit"):
        report = look([path], ws.plan.arch, allowed)
    BOARD.write("\n".join(table(report)))
    place = ws.settings.build / "reports" / ws.plan.stack / "audit.json"
    _write(place, {"schema": SCHEMA, "passed": not report.findings, **msgspec.to_builtins(report)})
    BOARD.say("audit", f"{report.kernels} kernels for {report.arch}; all of it: {place}")
    if report.findings:
        more = len(report.findings) - _SHOWN
        raise GateError(
            f"{path.name} is not fit for {report.arch}.",
            where="\n".join([*report.findings[:_SHOWN], *([f"and {more} more"] * (more > 0))]),
            cause="Without code for a GPU a program ends at the first kernel that it starts.",
            fix=f"All of it: {place}",
        )


def _place(ws: Workspace) -> Path:
    """Return what is looked at. Raises UsageError where nothing is there."""
    given, usual = ws.settings.path, wheelhouse_place(ws)
    if not (given or usual).exists():
        raise UsageError(
            "there is nothing at that place." if given else "the wheelhouse is not made yet.",
            where=f"path={given}" if given else str(usual),
            fix="path= names a wheel, a library, an archive or a folder."
            + ("" if given else "\n./doit wheelhouse"),
        )
    return given or usual


def _write(place: Path, document: object) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    staged = place.with_suffix(".new")
    staged.write_text(json.dumps(document, indent=1), encoding="utf-8")
    staged.replace(place)
