"""What is promoted: one link, and the generations behind it. Each change is one rename.

promoted                   -> generations/<n>, what people source and install from
generations/<n>/night      -> ../../nights/<name>, the candidate
generations/<n>/previous   -> ../<m>, what rollback goes back to; absent in the first
generations/<n>/wheelhouse -> night/wheelhouse
generations/<n>/prefix     -> night/prefix; absent where it is not installed
"""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from strixforge.nightly.feed import sync_folder


@dataclass(frozen=True, slots=True)
class Generation:
    """One promotion."""

    number: int
    night: str
    """The name of the candidate that was promoted."""
    previous: int | None


def promoted(place: Path) -> Generation | None:
    """Return what is promoted below `place`, or None."""
    try:
        number = int((place / "promoted").readlink().name)
    except FileNotFoundError:
        return None
    return read(place, number)


def read(place: Path, number: int) -> Generation:
    """Return one generation."""
    folder = place / "generations" / str(number)
    previous = folder / "previous"
    return Generation(
        number,
        (folder / "night").readlink().name,
        int(previous.readlink().name) if previous.exists() else None,  # it may be freed
    )


def promote(place: Path, night: str) -> Generation:
    """Make the candidate `night` what is promoted; what was promoted becomes its previous."""
    before = promoted(place)
    folder = place / "generations"
    folder.mkdir(exist_ok=True)
    numbers = [int(one.name) for one in folder.iterdir() if one.name.isdigit()]
    number = max(numbers, default=0) + 1
    staged = folder / f".{uuid.uuid4().hex}"
    staged.mkdir()
    (staged / "night").symlink_to(f"../../nights/{night}")
    for name in ("wheelhouse", "prefix"):
        if (place / "nights" / night / name).is_dir():
            (staged / name).symlink_to(f"night/{name}")
    if before is not None:
        (staged / "previous").symlink_to(f"../{before.number}")
    sync_folder(staged)
    staged.rename(folder / str(number))
    sync_folder(folder)
    _point(place, number)
    return read(place, number)


def roll_back(place: Path) -> Generation | None:
    """Make the generation before the promoted one what is promoted. None where there is none."""
    now = promoted(place)
    if now is None or now.previous is None:
        return None
    _point(place, now.previous)
    return read(place, now.previous)


def _point(place: Path, number: int) -> None:
    staged = place / f".promoted.{uuid.uuid4().hex}"
    staged.symlink_to(f"generations/{number}")
    staged.replace(place / "promoted")
    sync_folder(place)


def kept(place: Path) -> set[str]:
    """Return the names of the candidates that are promoted, or that rollback goes back to."""
    now = promoted(place)
    if now is None:
        return set()
    before = {read(place, now.previous).night} if now.previous is not None else set()
    return {now.night, *before}


def clear(place: Path) -> None:
    """Remove what killed runs left, and generations that nothing goes back to any more."""
    for left in place.glob(".promoted.*"):
        left.unlink()
    now = promoted(place)
    stay = {str(one) for one in (now.number, now.previous) if one is not None} if now else set()
    folder = place / "generations"
    for one in list(folder.iterdir()) if folder.is_dir() else ():
        if one.name not in stay:
            # Under another name first: a generation is there as a whole, or not at all.
            gone = folder / f".{uuid.uuid4().hex}"
            one.rename(gone)
            shutil.rmtree(gone)
