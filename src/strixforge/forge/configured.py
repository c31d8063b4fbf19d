"""What CMake made of the options that a recipe gave it: taken, not ignored, for one GPU target."""

import re
from pathlib import Path, PurePosixPath

from strixforge.forge.reading import read_text
from strixforge.model.errors import ConfigureError
from strixforge.model.recipe import Recipe
from strixforge.plan import layout

_ENTRY = re.compile(r"^(?P<name>[A-Za-z_][^:=\s]*):[A-Z]+=(?P<value>.*)$", re.MULTILINE)
_UNUSED = re.compile(r"Manually-specified variables were not used by the project")
_INDENTED = re.compile(r"^\[ *[0-9.]+\]    +(?P<name>[A-Za-z0-9_]+)\s*$")
_EMPTY = re.compile(r"^\[ *[0-9.]+\]\s*$")
# What CMake's if() takes for true and false.
_TRUE = frozenset(("1", "ON", "YES", "TRUE", "Y"))
_FALSE = frozenset(("0", "OFF", "NO", "FALSE", "N", "IGNORE", "NOTFOUND", ""))
_OFFLOAD = re.compile(r"--(?:offload|cuda-gpu)-arch=([A-Za-z0-9:+,-]+)")


def check_configured(name: str, recipe: Recipe, arch: str, work: Path, log: Path) -> str:
    """Check what the configure steps left behind. Returns in words what was proved.

    `work` holds the build's folders, `log` what CMake said. Raises ConfigureError.
    """
    check = recipe.check.configure
    if check is None:
        return "configured; its recipe checks nothing of that"
    folder = _outside(check.folder, work)
    wanted = {**recipe.cmake, **check.cache}
    failed = _unused(log, recipe.cmake)
    entries, trouble = read_cache(folder) if wanted else ({}, "")
    if trouble:
        failed.append(f"{check.folder}/CMakeCache.txt {trouble}")
    else:
        failed += [
            f"{key} is {entries[key]!r}, not {value!r}"
            if key in entries
            else f"{key} is not in CMake's cache; {value!r} was wanted"
            for key, value in wanted.items()
            if key not in entries or not _same(entries[key], value)
        ]
    files = 0
    for pattern in check.offload_arch:
        targets, count = _targets(pattern, folder)
        files += count
        if targets != {arch}:
            found = ", ".join(sorted(targets)) or "no target at all"
            failed.append(f"{pattern}: device code for {found}, not for {arch} alone")
    if failed:
        raise ConfigureError(
            f"CMake did not take what the recipe of {name} gave it.",
            where="\n".join([*failed, f"log: {log}"]),
            cause="An option was renamed or ignored, or the target was dropped from a list.",
            fix="Compare the options with the source's CMakeLists.txt, and mend the recipe.",
        )
    proved = f"configured: {len(wanted)} option(s) taken"
    return proved + (f", {files} file(s) for {arch} alone" if check.offload_arch else "")


def read_cache(folder: Path) -> tuple[dict[str, str], str]:
    """Return the entries of CMakeCache.txt, and why there are none."""
    try:
        text = read_text(folder / "CMakeCache.txt", folder)
    except OSError:
        return {}, "is not there"
    except ValueError as error:
        return {}, str(error)
    entries = {match["name"]: match["value"] for match in _ENTRY.finditer(text)}
    return entries, "" if entries else "is empty"


def _outside(place: str, work: Path) -> Path:
    """Return where a folder of the sandbox lies on this machine."""
    for inner, outer in ((layout.BUILD, "build"), (layout.SRC, "src"), (layout.OUT, "out")):
        if PurePosixPath(place).is_relative_to(inner):
            return work / outer / PurePosixPath(place).relative_to(inner)
    raise ConfigureError(
        f"'{place}' is no folder of a build.",
        where="check.configure.folder",
        fix="Write {{ build }} or {{ src }}, or a folder below one of them.",
    )


def _unused(log: Path, options: dict[str, str]) -> list[str]:
    """Return a sentence for each option that CMake says nobody read."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = []
    for number, line in enumerate(lines):
        if not _UNUSED.search(line):
            continue
        for later in lines[number + 1 :]:
            match = _INDENTED.match(later)
            if match and match["name"] in options:
                found.append(f"{match['name']} was given, and no CMakeLists.txt reads it")
            if not match and not _EMPTY.match(later):
                break
    return found


def _same(have: str, wanted: str) -> bool:
    """Compare two values as CMake's if() does where both are booleans."""
    for words in (_TRUE, _FALSE):
        if have.upper() in words and wanted.upper() in words:
            return True
    return have == wanted


def _targets(pattern: str, folder: Path) -> tuple[set[str], int]:
    """Return the targets that the build's files name, and how many files name any."""
    targets: set[str] = set()
    files = 0
    for path in sorted(folder.glob(pattern)):
        try:
            found = _OFFLOAD.findall(read_text(path, folder))
        except OSError:
            continue
        except ValueError as error:
            targets.add(f"({path.name} {error})")
            continue
        targets |= {one for match in found for one in match.split(",")}
        files += bool(found)
    return targets, files
