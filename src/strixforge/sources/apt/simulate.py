"""What wanted packages depend on, found by apt itself, in a state folder of its own.

apt sees the verified indexes alone, from a folder, and an empty system; nothing is installed.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from strixforge.model.errors import FetchError
from strixforge.sources.apt.closure import Closure
from strixforge.sources.apt.release import Index

_INSTALL = re.compile(r"^Inst (?P<name>\S+) \((?P<version>\S+) ", re.MULTILINE)


def available() -> bool:
    """Say whether this machine has apt."""
    return shutil.which("apt-get") is not None


def version() -> str:
    """Return the name and version of the machine's apt."""
    said = subprocess.run(["apt-get", "--version"], capture_output=True, text=True, check=False)
    return " ".join(said.stdout.split()[:2])


def simulate(indexes: Sequence[Index], wanted: Sequence[str]) -> Closure:
    """Return what apt would install on an empty system. Raises FetchError with apt's words."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # where root started this, apt reads as a user of its own
        for part in (
            "etc/apt.conf.d",
            "etc/preferences.d",
            "state/lists/partial",
            "cache/archives/partial",
        ):
            (folder / part).mkdir(parents=True)
        (folder / "state" / "status").touch()
        lines = [_lay_out(index, folder / f"{number}") for number, index in enumerate(indexes)]
        (folder / "sources.list").write_text("".join(lines))
        (folder / "apt.conf").write_text(_configuration(folder))
        _apt(folder, ["update"])
        said = _apt(folder, ["--simulate", "install", *wanted])
    found = {match["name"]: match["version"] for match in _INSTALL.finditer(said)}
    if not found:
        raise FetchError("apt would install nothing.", where=said[-500:])
    return Closure(found, ())


def _apt(folder: Path, words: list[str]) -> str:
    """Run apt-get with the configuration in `folder`; return what it said."""
    done = subprocess.run(
        ["apt-get", "--quiet", "--no-install-recommends", *words],
        env={
            "APT_CONFIG": str(folder / "apt.conf"),
            "LC_ALL": "C",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FetchError(
            "apt finds no way to install the packages of the pin.",
            where="\n".join((done.stdout + done.stderr).strip().splitlines()[-12:]),
            fix="Mend `packages` or `repositories` of the pin.",
        )
    return done.stdout


def _lay_out(index: Index, folder: Path) -> str:
    """Write an index as an archive in a folder; return its line of sources.list."""
    for component, packages in index.packages.items():
        place = folder / component / "Packages"
        place.parent.mkdir(parents=True)
        place.write_bytes(packages)
    # Verified already. A flat archive needs no Release file, and one line a component.
    return "".join(f"deb [trusted=yes] copy:{folder}/{one} ./\n" for one in index.packages)


def _configuration(folder: Path) -> str:
    settings = {
        "Dir": str(folder),
        "Dir::Etc": str(folder / "etc"),
        "Dir::Etc::sourcelist": str(folder / "sources.list"),
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::main": "-",
        "Dir::State": str(folder / "state"),
        "Dir::State::status": str(folder / "state" / "status"),
        "Dir::Cache": str(folder / "cache"),
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "Acquire::Languages": "none",
    }
    return "".join(f'{name} "{value}";\n' for name, value in settings.items())
