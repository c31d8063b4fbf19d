"""Where build steps run: no network, fixed paths, read-only inputs.

Two kinds show the same: bubblewrap where it works, else util-linux's unshare. Both make new user,
mount, process, IPC, host name and network namespaces. The root is an empty tmpfs with the system's
folders bound in read-only; steps run as user 1000 whoever started them.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from strixforge.forge import hostroot, inside
from strixforge.forge.roots import Root
from strixforge.model.errors import SandboxError, UsageError
from strixforge.plan import layout

Kind = Literal["bwrap", "unshare"]
_DEVICES = ("null", "zero", "full", "random", "urandom")
# Switches of the whole machine. Where root started the build, its steps own them, and the kernel
# asks for no capability.
_PROC_READ_ONLY = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus")
_DEVICE_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}


@dataclass(frozen=True, slots=True)
class View:
    """What one sandbox shows."""

    root: Root
    writable: dict[str, Path]
    """Paths inside to folders outside."""
    readonly: dict[str, Path]
    """Paths inside to folders or files outside."""
    etc: Path
    """A folder of small files for /etc."""
    environment: dict[str, str] = field(default_factory=dict)
    interactive: bool = False
    """A person sits at the terminal: the sandbox keeps it."""


def base_environment(epoch: int, jobs: int) -> dict[str, str]:
    """Return the whole environment of a step, but for what its recipe adds.

    Nothing of the user's environment is taken over: no tokens, agents or proxies.
    """
    return {
        "PATH": f"{layout.ENV}/bin:{hostroot.SYSTEM_PATH}",
        "HOME": "/tmp",  # noqa: S108 - the sandbox's own, empty and private
        "TMPDIR": "/tmp",  # noqa: S108
        "USER": "builder",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "CMAKE_BUILD_PARALLEL_LEVEL": str(jobs),
        "MAX_JOBS": str(jobs),
        "CCACHE_DIR": layout.CCACHE,
    }


def etc_files(folder: Path) -> None:
    """Write the /etc of a sandbox into `folder`: one user, and a resolver that refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "passwd": f"root:x:0:0::/:/bin/sh\nbuilder:x:{inside.UID}:{inside.UID}::/tmp:/bin/bash\n",
        "group": f"root:x:0:\nbuilder:x:{inside.UID}:\n",
        # Many programs look their own host up, and want no network for that.
        "hosts": f"127.0.0.1 localhost {inside.HOST_NAME}\n",
        "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)


def choose_kind(wanted: str) -> Kind:
    """Return the kind of sandbox that works here. `wanted` is auto, bwrap or unshare.

    Raises SandboxError with the reason and the cure, UsageError for another word.
    """
    if wanted not in ("auto", "bwrap", "unshare"):
        raise UsageError(f"there is no sandbox '{wanted}'.", fix="sandbox=auto, bwrap or unshare")
    reasons = []
    probes: dict[Kind, list[str]] = {
        "bwrap": ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "true"],
        "unshare": ["unshare", "-Urmnpiu", "--fork", "--kill-child", "--mount-proc", "true"],
    }
    for kind, probe in probes.items():
        if wanted not in ("auto", kind):
            continue
        if shutil.which(probe[0]) is None:
            reasons.append(f"{probe[0]}: not installed")
            continue
        tried = subprocess.run(probe, capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return kind
        reasons.append(f"{probe[0]}: {tried.stderr.strip().splitlines()[-1:] or tried.returncode}")
    raise SandboxError(
        "no sandbox can be made here, and nothing is built without one.",
        where="\n".join(reasons),
        cause="Ubuntu 24.04 forbids unprivileged user namespaces through AppArmor; "
        "containers often forbid them too.",
        fix="Install bubblewrap (apt install bubblewrap), or allow user namespaces:\n"
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0\n"
        "In a container: start it with --security-opt seccomp=unconfined",
    )


def command(kind: Kind, view: View, work: Path, events: int) -> list[str]:
    """Return the command that starts a sandbox.

    `work` is an existing folder for the sandbox's own files, `events` the descriptor that
    inside.py reports to. The view must hold /strixforge/plan.json.
    """
    readonly = {
        **view.root.binds,
        **{f"/etc/{path.name}": path for path in sorted(view.etc.iterdir())},
        **view.readonly,
        "/strixforge/inside.py": Path(inside.__file__),
    }
    first = [view.root.python, "-I", "-S", "/strixforge/inside.py", str(events)]
    starters: dict[Kind, Callable[[], list[str]]] = {
        "bwrap": lambda: _bwrap(view, readonly, first),
        "unshare": lambda: _unshare(view, readonly, work, first),
    }
    return starters[kind]()


def _parents(places: Iterable[str]) -> list[str]:
    """Return every folder above the places, but the root, from the top down."""
    found = {str(parent) for place in places for parent in PurePosixPath(place).parents}
    return sorted(found - {"/"})


def _devices(view: View) -> list[str]:
    """Return the devices that are shown; /dev/tty where somebody sits at it."""
    return [f"/dev/{name}" for name in (*_DEVICES, *(["tty"] if view.interactive else []))]


def _bwrap(view: View, readonly: dict[str, Path], first: list[str]) -> list[str]:
    line = ["bwrap", "--unshare-user", "--unshare-all", "--die-with-parent", "--clearenv"]
    if not view.interactive:
        line.append("--new-session")  # no step can type into the user's terminal (TIOCSTI)
    line += ["--hostname", inside.HOST_NAME, "--uid", str(inside.UID), "--gid", str(inside.UID)]
    line += ["--cap-drop", "ALL", "--cap-add", "CAP_NET_BIND_SERVICE"]
    # Folders that bwrap makes unasked are for their owner alone.
    line += [word for place in _parents([*readonly, *view.writable]) for word in ("--dir", place)]
    for place, source in readonly.items():
        line += ["--ro-bind", str(source), place]
        if place == "/usr" and view.root.hides_local:
            line += ["--tmpfs", "/usr/local", "--remount-ro", "/usr/local"]
    for place, target in view.root.links.items():
        line += ["--symlink", target, place]
    line += ["--proc", "/proc", "--dir", "/dev"]
    line += [word for place in _PROC_READ_ONLY for word in ("--ro-bind-try", place, place)]
    line += ["--perms", "1777", "--tmpfs", "/tmp", "--perms", "1777", "--tmpfs", "/dev/shm"]  # noqa: S108
    # Not --dev: its devpts costs a second user namespace, in which port 53 cannot be bound.
    line += [word for place in _devices(view) for word in ("--dev-bind", place, place)]
    for place, target in _DEVICE_LINKS.items():
        line += ["--symlink", target, place]
    for place, source in view.writable.items():
        line += ["--bind", str(source), place]
    for name, value in view.environment.items():
        line += ["--setenv", name, value]
    return [*line, "--remount-ro", "/", "--", *first]


def _unshare(view: View, readonly: dict[str, Path], work: Path, first: list[str]) -> list[str]:
    """Compose the mounts as a shell script, for a namespace in which we are root."""
    root = work / "root"
    root.mkdir(exist_ok=True)
    script = ["set -eu", "umask 022", f"R={shlex.quote(str(root))}"]
    script.append('mount -t tmpfs -o mode=755 tmpfs "$R"')

    def bind(source: Path, place: str, *, writable: bool) -> None:
        target = f'"$R"{shlex.quote(place)}'
        if source.is_dir():
            script.append(f"mkdir -p {target}")
        else:
            script.append(f'mkdir -p "$R"{shlex.quote(os.path.dirname(place))}; : > {target}')  # noqa: PTH120
        script.append(f"mount --bind {shlex.quote(str(source))} {target}")
        if not writable:
            script.append(f"mount -o remount,bind,ro,nosuid,nodev{_kept_flags(source)} {target}")

    for place, source in readonly.items():
        bind(source, place, writable=False)
        if place == "/usr" and view.root.hides_local:
            script.append('mount -t tmpfs -o ro,mode=755 tmpfs "$R"/usr/local')
    for place, target in view.root.links.items():
        script.append(f'ln -s -- {shlex.quote(target)} "$R"{shlex.quote(place)}')
    for place in _devices(view):
        bind(Path(place), place, writable=True)
    flags = "remount,bind,ro,nosuid,nodev,noexec"
    script += [
        'mkdir -p "$R"/dev/shm "$R"/tmp "$R"/proc "$R"/.old',
        'mount -t tmpfs -o mode=1777 tmpfs "$R"/dev/shm',
        'mount -t tmpfs -o mode=1777 tmpfs "$R"/tmp',
        'mount -t proc proc "$R"/proc',
        *(
            f'[ ! -e "$R"{p} ] || {{ mount --bind "$R"{p} "$R"{p}; mount -o {flags} "$R"{p}; }}'
            for p in _PROC_READ_ONLY
        ),
        *(f'ln -s {target} "$R"{place}' for place, target in _DEVICE_LINKS.items()),
    ]
    for place, source in view.writable.items():
        bind(source, place, writable=True)
    script += [
        'cd "$R"',
        "pivot_root . .old",
        "cd /",
    ]
    environment = [f"{name}={value}" for name, value in view.environment.items()]
    # From here on nothing but Python and env is asked of the root: inside.py does the rest.
    script.append(
        "exec " + shlex.join(["/usr/bin/env", "-i", *environment, *first, inside.PIVOTED])
    )
    # setpriv ends unshare with the thread that started it; unshare then ends all inside.
    return [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", "-Urmnpiu", "--fork", "--kill-child", "--"),
        *("sh", "-c", "\n".join(script)),
    ]


def _kept_flags(source: Path) -> str:
    """Return the mount flags that a user namespace may not clear when it remounts."""
    flags = os.statvfs(source).f_flag
    names = ((os.ST_NOSUID, "nosuid"), (os.ST_NODEV, "nodev"), (os.ST_NOEXEC, "noexec"))
    times = ((os.ST_NOATIME, "noatime"), (os.ST_RELATIME, "relatime"))
    return "".join(f",{name}" for bit, name in (*names, *times) if flags & bit)
