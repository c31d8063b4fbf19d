"""What differs between two outputs: files, members of archives, and what they look like."""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from strixforge.reproduce.bytewise import Trace, explain, first_difference
from strixforge.reproduce.members import UNREADABLE, Archive, Member, opened
from strixforge.store.tree import Manifest

_DEPTH = 4
"""Archives inside archives that are opened."""
_OF_TIME = "the clock: it holds the time of the build"


class Difference(msgspec.Struct, frozen=True):
    """One thing that differs."""

    path: str
    """In the output; members of an archive follow its name and a `/`."""
    what: str
    clue: str = ""
    """What it looks like it comes from."""
    excepted: str = ""
    """The reason of policy.toml for which it may differ."""
    expired: str = ""
    """The same, where it counts no more."""


def compare_trees(
    first: Path, listed: tuple[Manifest, Manifest], second: Path, traces: Sequence[Trace]
) -> list[Difference]:
    """Return all differences of two outputs; `listed` are the manifests of both."""
    one, other = ({entry["path"]: entry for entry in manifest} for manifest in listed)
    found = []
    for path in sorted(one.keys() | other.keys()):
        a, b = one.get(path), other.get(path)
        if a == b:
            continue
        if a is None or b is None:
            found.append(Difference(path, f"only in the {'second' if a is None else 'first'}"))
        elif a["type"] != "file" or b["type"] != "file":
            texts = [f"{e['type']} {e.get('target', '')}".strip() for e in (a, b)]
            found.append(Difference(path, f"{texts[0]} -> {texts[1]}"))
        else:
            if a["executable"] != b["executable"]:
                found.append(Difference(path, "executable in one of them alone"))
            if a["sha256"] != b["sha256"]:
                found += compare_files(first / path, second / path, path, traces)
    return found


def compare_files(
    one: Path, other: Path, path: str, traces: Sequence[Trace], depth: int = _DEPTH
) -> list[Difference]:
    """Return the differences of two files, with those inside them where they are archives."""
    at = first_difference(one, other)
    if at is None:
        return []
    if depth:
        with opened(one) as left, opened(other) as right:
            if left is not None and right is not None and left.kind == right.kind:
                with contextlib.suppress(*UNREADABLE):  # a damaged one is compared as bytes
                    found = _compare_archives(left, right, path, traces, depth)
                    same = f"the same members, written differently from byte {at} on"
                    return found or [Difference(path, same)]
    where, clue = explain(one, other, at, traces)
    return [Difference(path, where, clue)]


def _compare_archives(
    left: Archive, right: Archive, path: str, traces: Sequence[Trace], depth: int
) -> list[Difference]:
    one, other = _numbered(left.members), _numbered(right.members)
    found = []
    for lacks, has, where in ((other, one, "first"), (one, other, "second")):
        names = [name for name in has if name not in lacks]
        found += [Difference(f"{path}/{name}", f"only in the {where}") for name in names]
    shared = [name for name in one if name in other]
    order = [name for name in other if name in one]
    if shared != order:
        a, b = next((a, b) for a, b in zip(shared, order, strict=True) if a != b)
        clue = "files in the order of the disk, or of what was ready first"
        found.append(Difference(path, f"members in another order: {a} -> {b}", clue))
    found += _facts(path, [(one[name], other[name]) for name in shared])
    changed = []
    with tempfile.TemporaryDirectory(prefix="strixforge-") as folder:
        for name in shared:
            # A name in an archive is no path here.
            files = Path(folder) / "one", Path(folder) / "other"
            for member, file in zip((one[name], other[name]), files, strict=True):
                with member.open() as content, file.open("wb") as target:
                    shutil.copyfileobj(content, target)
            inner = compare_files(*files, f"{path}/{name}", traces, depth - 1)
            if inner:
                changed.append(name)
            if not (inner and _follows(name, files, changed)):
                found += inner
    return found


def _numbered(members: list[Member]) -> dict[str, Member]:
    """Return members by name; a name that stands again has its number behind it."""
    seen: Counter[str] = Counter()
    found = {}
    for member in members:
        seen[member.name] += 1
        number = seen[member.name]
        found[member.name if number == 1 else f"{member.name} ({number})"] = member
    return found


def _facts(path: str, pairs: list[tuple[Member, Member]]) -> list[Difference]:
    """Return one difference for each fact that members differ in."""
    found = []
    for fact in dict.fromkeys(fact for one, _ in pairs for fact in one.facts):
        differ = [(a, b) for a, b in pairs if a.facts[fact] != b.facts[fact]]
        if differ:
            a, b = differ[0]
            what = f"{fact} of {len(differ)} members, first {a.name}: "
            what += f"{a.facts[fact]} -> {b.facts[fact]}"
            found.append(Difference(path, what, _OF_TIME if fact == "time" else ""))
    return found


def _follows(name: str, files: tuple[Path, Path], changed: list[str]) -> bool:
    """Say whether a wheel's RECORD differs only in the lines of members that differ."""
    others = {one for one in changed if one != name}
    if not name.endswith(".dist-info/RECORD") or not others:
        return False
    rows = [
        [row for row in file.read_text(errors="replace").splitlines() if _named(row) not in others]
        for file in files
    ]
    return rows[0] == rows[1]


def _named(row: str) -> str:
    return row.rsplit(",", 2)[0].strip('"')
