"""The ROCm that the root has already: nothing is fetched, and nothing is copied.

Its output is one small file: where builds see it, and the digest of what lies there. Where it lies
on this machine is not in it, so that the same ROCm elsewhere makes the same keys.
"""

import json
import os
from pathlib import Path, PurePosixPath

from strixforge.model.errors import HostError, PolicyError, UsageError
from strixforge.model.pins import SystemPin
from strixforge.plan import layout
from strixforge.sources import Progress, Site
from strixforge.toolchain.digest import toolchain_digest
from strixforge.toolchain.mixed import mixed

_FILE = "system.json"


def place(pin: SystemPin, root: Path) -> Path:
    """Return the folder of the ROCm, in the file system `root` that builds see.

    The pin names it, else ROCM_PATH does for the host's, else it is /opt/rocm. Raises HostError
    when it is not there.
    """
    of_host = root == Path("/")
    variable = os.environ.get("ROCM_PATH", "") if of_host else ""
    named = os.path.normpath(pin.path or variable or "/opt/rocm")
    folder = root / named.lstrip("/")
    if named == "/" or not os.path.isabs(named):  # noqa: PTH117 - a text of the environment
        raise UsageError(
            f"'{named}' is no folder of a ROCm.",
            where=f"path of {pin.component}'s pin" if pin.path else "ROCM_PATH",
            fix="Name the whole path of its own folder, such as /opt/rocm.",
        )
    if not folder.is_dir():
        raise HostError(
            f"there is no ROCm in {named}.",
            where=str(folder),
            cause=f"{pin.component} is pinned to the one that is installed."
            if of_host
            else "The root does not have it among its packages.",
            fix="Install it, name its folder in ROCM_PATH, or use a stack that brings its own."
            if of_host
            else "Add it to `packages` of the root, or use the host's: ./doit root=host …",
        )
    return folder


def shown_as(folder: Path, root: Path) -> str:
    """Return where builds see the folder: its own path where they see that anyway."""
    path = PurePosixPath("/", folder.relative_to(root))
    hidden = path.is_relative_to("/usr/local") or not path.is_relative_to("/usr")
    return layout.ROCM if root == Path("/") and hidden else str(path)


def digest(pin: SystemPin, site: Site) -> str:
    """Return the digest of compiler, headers, device bitcode and libraries.

    Raises PolicyError for an installation that is two in one. The packages of a root are listed
    with their versions, and are exempt.
    """
    folder = place(pin, site.root)
    if site.root != Path("/"):
        return f"system:{folder.relative_to(site.root)}"  # the root's own digest covers it
    if signs := mixed(folder):
        raise PolicyError(
            f"the ROCm in {folder} is mixed of two.",
            where="\n".join(signs),
            cause="What is built would take headers of one and libraries of the other.",
            fix="Remove one of the two, or use a stack that brings its own ROCm.",
        )
    sha256 = toolchain_digest(folder, site.cache.root)
    return f"system:{shown_as(folder, site.root)}:{sha256}"


def missing(pin: SystemPin, site: Site) -> bool:
    """Return False: it is here, or it cannot be fetched."""
    del pin, site
    return False


def fetch(pin: SystemPin, site: Site, progress: Progress) -> None:
    """Do nothing."""
    del pin, site, progress


def unpack(pin: SystemPin, site: Site, target: Path) -> None:
    """Write down which ROCm it is."""
    text = {"digest": digest(pin, site)}
    (target / _FILE).write_text(json.dumps(text, indent=1) + "\n")
