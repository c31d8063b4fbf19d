"""Whether two wheelhouses are the same, and which differences are another's consequence."""

import json
from pathlib import Path

from strixforge.release.sums import SIGNATURE, SUMS, read_sums


def compare_wheelhouses(
    first: Path, second: Path, differing: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files that differ of themselves, and those that follow from other components.

    The latter are of a component in `differing`. Texts such as locks and the manifest name the
    bytes of all the others, so they follow too.
    """
    if _sums(first) == _sums(second):
        return (), ()
    one, other = _files(first), _files(second)
    alone: list[str] = []
    follows: list[str] = []
    for path in sorted(one.keys() | other.keys()):
        a, b = one.get(path), other.get(path)
        if a == b:
            continue
        built = {made[1] for made in (a, b) if made is not None}
        # What strixforge writes itself has no component.
        known = bool(differing) and built <= differing | {""}
        (follows if known else alone).append(path)
    if not differing:
        alone.append(SUMS)
    return tuple(alone), tuple(follows)


def _sums(wheelhouse: Path) -> dict[str, str]:
    """Return every digest but that of a signature: who vouches for it is not what it is."""
    sums = read_sums((wheelhouse / SUMS).read_text(encoding="utf-8"))
    sums.pop(SIGNATURE, None)
    return sums


def _files(wheelhouse: Path) -> dict[str, tuple[str, str]]:
    """Return sha256 and component of each file; files of the index have their own name."""
    manifest = json.loads((wheelhouse / "manifest.json").read_text())
    found = {}
    for entry in manifest["files"]:
        origin = entry["origin"]
        of = "" if "strixforge" in origin else origin.get("built", f"index {origin.get('index')}")
        found[entry["path"]] = (entry["sha256"], of)
    return found
