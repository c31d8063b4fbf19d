"""What the dynamic loader would load for one file, breadth first, as it is installed.

Source: ld.so(8) and glibc's elf/dl-deps.c. What a file needs is first looked for among what is
loaded already, by name; then in the file's own RUNPATH; then the machine has it. LD_LIBRARY_PATH is
not used by an installation, and DT_RPATH of those that needed a file counts as the file's own only.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from strixforge.gates.installed import Layout, Placed
from strixforge.gates.staged import Staged
from strixforge.gates.system import Library, System, system


@dataclass(frozen=True, slots=True)
class Loaded:
    """What comes with one file."""

    files: tuple[Placed, ...]
    """The file itself first."""
    system: tuple[Library, ...]
    """Libraries of the machine, by what is known of them."""
    missing: tuple[tuple[Placed, str], ...]
    """What nobody has, with the file that needs it."""


class Loader:
    """Loads files of one staged wheelhouse."""

    def __init__(self, staged: Staged) -> None:
        """Install everything, on paper."""
        self.layout = Layout(staged.readable)
        self._staged = staged
        self._system: System = system()
        self._in_wheels = {
            posixpath.basename(place): one
            for place, one in sorted(self.layout.files.items())
            if one.archive.is_wheel and one.member.dynamic
        }

    def roots(self) -> Iterator[Placed]:
        """Yield every library and program but those of toolchains."""
        for placed in self.layout.files.values():
            if placed.member.dynamic is not None and not placed.archive.is_toolchain:
                yield placed

    def load(self, root: Placed) -> Loaded:
        """Return what the loader would load for it."""
        files = {root.place: root}
        names = _names(root)
        machine: dict[str, Library] = {}
        missing: list[tuple[Placed, str]] = []
        waiting = [root]
        for user in waiting:
            for soname in user.member.dynamic.needed if user.member.dynamic else ():
                if soname in names or soname in machine:
                    continue
                found = self._find(user, soname)
                library = self._system.find(soname, rocm=self._staged.system_rocm)
                if found is not None:
                    if found.place not in files:
                        files[found.place] = found
                        names |= {*_names(found), soname}
                        waiting.append(found)
                elif library is not None:
                    machine[soname] = library
                else:
                    missing.append((user, soname))
        return Loaded(tuple(files.values()), tuple(machine.values()), tuple(missing))

    def _find(self, user: Placed, soname: str) -> Placed | None:
        here = posixpath.dirname(user.place)
        for entry in user.member.dynamic.rpath if user.member.dynamic else ():
            folder = entry.replace("${ORIGIN}", "$ORIGIN")
            if folder.startswith("$ORIGIN"):
                found = self.layout.find(f"{here}/{folder.removeprefix('$ORIGIN')}/{soname}")
                if found is not None and found.member.dynamic is not None:
                    return found
        return self._in_wheels.get(soname) if self._system.is_imported(soname) else None


def _names(placed: Placed) -> set[str]:
    """Return the names under which a loaded file is known."""
    soname = placed.member.dynamic.soname if placed.member.dynamic else ""
    return {posixpath.basename(placed.place), *([soname] if soname else [])}
