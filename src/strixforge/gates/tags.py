"""`tags`: every wheel can be installed beside the stack's Python, and is there once."""

from collections.abc import Iterator

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from strixforge.gates.finding import Checked, Finding
from strixforge.gates.staged import Staged

GATE = "tags"


def check(staged: Staged) -> Checked:
    """Check the names of all wheels."""
    wheels = [one for one in staged.archives if one.is_wheel]
    return Checked({"wheels": len(wheels)}, tuple(_findings(staged)))


def _findings(staged: Staged) -> Iterator[Finding]:
    usable = frozenset(staged.python.tags())
    seen: dict[str, str] = {}
    for archive in staged.archives:
        if not archive.is_wheel:
            continue
        try:
            name, _, _, tags = parse_wheel_filename(archive.file.name)
        except InvalidWheelFilename as error:
            fix = "A wheel is installed by its name: build it again, or pin another file."
            yield Finding(GATE, archive.path, f"is no name of a wheel: {error}", fix)
            continue
        if not usable & tags:
            said = ", ".join(sorted(map(str, tags)))
            yield Finding(
                GATE,
                archive.path,
                f"is for {said}, which Python {staged.python.short} on x86-64 does not take",
                "./doit lock chooses wheels for the stack's Python; a built one is of another.",
            )
        if name in seen:
            yield Finding(
                GATE,
                archive.path,
                f"is a second wheel of {name}, beside {seen[name]}",
                "A component builds it, and a recipe's `runtime` takes it from the index: "
                "take it out of `runtime`, then: ./doit lock",
            )
        seen[name] = archive.path
