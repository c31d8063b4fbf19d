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

    from strixforge.audit.limits import Limits
    from strixforge.audit.looking import Beside, document, lines, look
    from strixforge.audit.snapshot import RecordError, write_record

    path = _place(ws)
    old = _old(ws)
    beside = Beside(
        old, Limits(**msgspec.structs.asdict(ws.policy.rules.kernels)), ws.settings.beside
    )
    recipes = [component.recipe for component in ws.plan.components.values()]
    allowed = [one.kernels for recipe in recipes for one in recipe.check.hollow]
    try:
        with BOARD.activity("audit"):
            seen = look([path], ws.plan.arch, beside, allowed)
    except RecordError as error:
        raise _no_record(ws, f"{error}.") from None
    BOARD.write("\n".join(lines(seen)))
    reports = ws.settings.build / "reports" / ws.plan.stack
    place, record, html = (reports / f"audit.{kind}" for kind in ("json", "kernels.zst", "html"))
    _write(place, json.dumps(document(seen), indent=1))
    BOARD.say("audit", f"{seen.report.kernels} kernels for {seen.report.arch}; all of it: {place}")
    if not seen.taken.unreadable:
        write_record(seen.taken, record)
        BOARD.say("record", f"to compare with later, copy it: {record}")
    if seen.comparison is not None:
        from strixforge.audit.page import page

        _write(html, page(seen.comparison, seen.findings))
        BOARD.say("page", f"{html}")
    if seen.findings:
        more = len(seen.findings) - _SHOWN
        raise GateError(
            f"{path.name} is not fit for {seen.report.arch}."
            if seen.report.findings
            else f"{path.name} is worse than what it is held beside.",
            where="\n".join([*seen.findings[:_SHOWN], *([f"and {more} more"] * (more > 0))]),
            cause="Without code for a GPU a program ends at the first kernel that it starts."
            if seen.report.findings
            else "Another compiler, source or list of targets.",
            fix=f"All of it: {place}"
            + ("\nHow much worse kernels may get: [kernels] of policy.toml" if old else ""),
        )


def _old(ws: Workspace) -> Path | None:
    old = ws.settings.compare
    if old is not None and not old.exists():
        raise _no_record(ws, "There is nothing at that place.")
    return old


def _no_record(ws: Workspace, cause: str) -> UsageError:
    return UsageError(
        "that is nothing to compare with.",
        where=f"compare={ws.settings.compare}",
        cause=cause,
        fix="compare= names an earlier wheelhouse, any file, archive or folder, or a record that "
        "an earlier audit wrote.",
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


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    staged = place.with_suffix(".new")
    staged.write_text(text, encoding="utf-8")
    staged.replace(place)
