"""What is different where a stack is built again: asked for, and then measured on both sides."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from strixforge.model.errors import HostError
from strixforge.reproduce import launch

_HOST = "elsewhere"
_USER = 64321
# 13 h 45 min east of Greenwich: mostly another day. POSIX's form needs no tzdata.
_ZONE = "XST-13:45"
NOT_VARIED = (
    "processor",
    "kernel",
    "installed system",
    "file system",
    "strixforge's own Python",
)
"""What both builds share. A leak of one of these is not found."""
_KEPT = ("ROCM_PATH", "ROCM_HOME", "HIP_PATH", "STRIXFORGE_PYTHON")


class Circumstance(msgspec.Struct, frozen=True):
    """One thing that a build must not depend on, here and elsewhere."""

    name: str
    here: str
    elsewhere: str
    note: str = ""
    """Why it could not be another one."""

    @property
    def varied(self) -> bool:
        """Say whether it was another one."""
        return self.here != self.elsewhere


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The circumstances of the second build."""

    folder: Path
    """What it is started in."""
    home: Path
    namespace: bool
    """Whether it has namespaces of its own, for another user and host name."""
    user: int
    umask: int
    cores: tuple[int, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, command: list[str]) -> list[str]:
        """Return the command that runs `command` elsewhere. It ends when this process ends."""
        spec = {
            "parent": os.getpid(),
            "namespace": self.namespace,
            "user": self.user,
            "host": _HOST,
            "umask": self.umask,
            "cores": self.cores,
            "folder": str(self.folder),
            "environment": self.environment,
        }
        return [sys.executable, "-I", "-S", launch.__file__, json.dumps(spec), *command]


def elsewhere(folder: Path, home: Path, environ: Mapping[str, str] = os.environ) -> Elsewhere:
    """Return circumstances that differ from those of this process, as far as this machine lets."""
    here = measured([], environ)
    cores = sorted(os.sched_getaffinity(0))
    environment = {name: environ[name] for name in _KEPT if environ.get(name)}
    environment |= {
        # A plain user's has no sbin, where what `unshare` needs lies.
        "PATH": f"{environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin",
        "HOME": str(home),
        "USER": _HOST,
        "LOGNAME": _HOST,
        "LC_ALL": _other_locale(here["locale"]),
        "TZ": _ZONE,
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
    return Elsewhere(
        folder=folder,
        home=home,
        namespace=True,
        user=_USER if os.getuid() != _USER else _USER + 1,
        umask=0o077 if here["umask"] != "077" else 0o022,
        cores=tuple(cores[:-1] if len(cores) > 1 else cores),
        environment=environment,
    )


def measured(command: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a process finds that is started by `command`, which may be empty.

    Raises HostError with what it said where it could not be started.
    """
    done = subprocess.run(
        [*command, sys.executable, "-I", "-S", launch.__file__, "describe"],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise HostError(
            "a process in other circumstances could not be started.",
            where=(done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1],
        )
    return {str(name): str(text) for name, text in json.loads(done.stdout).items()}


def sandbox_works(there: Elsewhere, kind: str) -> bool:
    """Say whether a sandbox of that kind can be made there."""
    asked = f"from strixforge.forge.sandbox import choose_kind; choose_kind({kind!r})"
    done = subprocess.run(
        there.command([sys.executable, "-c", asked]), capture_output=True, check=False
    )
    return done.returncode == 0


def _other_locale(here: str) -> str:
    """Return an installed locale that is not `here`; best one that is neither C nor English."""
    asked = ["locale", "-a"] if shutil.which("locale") else ["true"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=False)
    installed = listed.stdout.split()
    plain = ("C", "POSIX", "en_")
    other = [one for one in installed if not one.startswith(plain)]
    candidates = [*other, "C", *(["C.UTF-8"] if "C.utf8" in installed else [])]
    return next((one for one in candidates if _same(one) != _same(here)), here)


def _same(name: str) -> str:
    return "C" if name == "POSIX" else name.lower().replace("-", "")
