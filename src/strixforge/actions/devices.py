"""The report of a device check: every source, its kernels, and what they cost."""

import json
from pathlib import Path

from strixforge.model.errors import GateError
from strixforge.release.kernels import Unit, read_units
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def report(ws: Workspace, name: str) -> None:
    """Show each source with its kernels, and write all of them to a file."""
    record = ws.status(name).record
    if record is None:
        raise GateError(f"{name} is not built.", fix=f"./doit {name}")
    units = read_units(ws.store.tree(record.output))
    rows: list[tuple[str, ...]] = [
        ("source", "seconds", "kernels", "text KiB", "VGPRs", "spilling", "scratch")
    ]
    rows += [_row(unit) for unit in units]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        BOARD.write("  ".join(cells))
    path = ws.settings.build / "reports" / ws.plan.stack / f"{name}.json"
    _write(path, units)
    kernels = sum(len(unit.kernels) for unit in units)
    spilling = sum(one.vgpr_spills > 0 for unit in units for one in unit.kernels)
    scratch = sum(one.scratch > 0 for unit in units for one in unit.kernels)
    BOARD.say(
        name,
        f"{len(units)} sources, {kernels} kernels for {ws.plan.arch}; {spilling} spill registers, "
        f"{scratch} use scratch\nevery kernel: {path}",
    )


def _row(unit: Unit) -> tuple[str, ...]:
    kernels = unit.kernels
    return (
        unit.source,
        f"{unit.seconds:.0f}",
        str(len(kernels)),
        f"{sum(one.text for one in kernels) / 1024:.0f}",
        str(max((one.vgprs for one in kernels), default=0)),
        str(sum(one.vgpr_spills > 0 for one in kernels)),
        str(sum(one.scratch > 0 for one in kernels)),
    )


def _write(path: Path, units: list[Unit]) -> None:
    """Write all kernels as JSON, for those who compare two toolchains."""
    import msgspec

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(msgspec.to_builtins(units), indent=1), encoding="utf-8")
