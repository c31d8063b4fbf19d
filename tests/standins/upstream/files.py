"""Writes the small source trees that stand in for upstream's."""

from collections.abc import Iterable, Mapping
from pathlib import Path


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts below a folder; a first line break is left out."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.removeprefix("\n"), encoding="utf-8")


def at_lines(blocks: Iterable[tuple[int, str]], comment: str = "#") -> str:
    """Join blocks so that each begins at its line, as patches expect them; 0 is the next line."""
    lines: list[str] = []
    for number, block in blocks:
        missing = number - 1 - len(lines) if number else 0
        if missing < 0:
            raise ValueError(f"line {number} is taken: {len(lines)} lines are written")
        lines += [comment] * missing
        lines += block.removeprefix("\n").removesuffix("\n").split("\n")
    return "\n".join(lines) + "\n"
