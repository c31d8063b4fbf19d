"""What the user chose on the command line or in the environment: stack=, arch=, jobs= and so on."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from strixforge.model.errors import UsageError
from strixforge.model.loading import nearest
from strixforge.model.lock import Lock

VARIABLES = {
    "stack": "which pins of toolchain.lock; see `./doit`",
    "arch": "GPU target of all device code (gfx1151)",
    "jobs": "at most so many compiler jobs",
    "store": "folder of finished artifacts (build/store)",
    "cache": "folder of downloads, shared by clones (XDG cache folder)",
    "sandbox": "auto, bwrap or unshare",
    "root": "the file system that builds see: host, or a root of toolchain.lock",
    "source": "another source than the pinned one, for prepare_<component>: a folder or an archive",
    "path": "what audit or verify looks at, or smoke runs: a file, an archive or a folder",
    "compare": "what audit compares with: an earlier wheelhouse, or a record of one",
    "beside": "another target that audit holds the kernels against, such as gfx1100",
    "sign_with": "your private key: wheelhouse and bundle are signed with it",
    "signed_by": "a public key that you trust: verify asks for its signature",
    "only": "the one component that reproduce builds again, instead of all",
    "channel": "where nightly and releases look for releases: a name of channels.toml",
    "release": "the release that promote takes instead of the lock's",
    "unattended": "what nightly_install writes: systemd, or github",
    "then": "a command that nightly runs at its end, by sh",
    "target": "where what is built will run: here, or elsewhere",
    "fit": "whether memory and disk must do by what is known: checked, or unchecked",
    "mirror": "address of a Debian or Ubuntu mirror, instead of those that apt is told to use",
}
_PREFIX = "STRIXFORGE_"
# STRIXFORGE_ names that are not variables of a run.
_OTHER = frozenset({"STRIXFORGE_PREFIX", "STRIXFORGE_PYTHON"})
_TARGET = re.compile(r"gfx[0-9]+[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices of one run."""

    home: Path
    """The folder of dodo.py."""
    stack: str
    arch: str
    jobs: int | None
    store: Path
    cache: Path
    sandbox: str
    root: str
    """`host`, or a root of the lock."""
    mirrors: tuple[str, ...]
    source: Path | None
    """What prepare_<component> takes instead of the pinned source."""
    path: Path | None
    """What audit looks at instead of the wheelhouse, and verify instead of what is built."""
    compare: Path | None
    """What audit compares the kernels with."""
    beside: str
    """A target whose kernels audit holds ours against, or an empty text."""
    sign_with: Path | None
    """A private key in PEM."""
    signed_by: Path | None
    """A public key in PEM."""
    only: str
    """The component that reproduce builds again, or an empty text for all."""
    channel: str
    """A channel of channels.toml; an empty text where the stack names none."""
    release: str
    """A version of TheRock, or an empty text."""
    then: str
    """A command for sh, or an empty text."""
    unattended: str
    """systemd, or github."""
    unchecked: bool
    """Builds are begun whatever is known of the memory and disk that they need."""
    elsewhere: bool
    """What is built is for other machines than this one."""
    versions: dict[str, str]
    """Component to the version asked for, as it was written."""
    given: dict[str, str]
    """What was written on the command line."""

    @property
    def build(self) -> Path:
        """The output folder."""
        return self.home / "build"

    def carried(self, store: Path, cache: Path) -> dict[str, str]:
        """Return the variables of a run in another folder that builds the same stack."""
        return {
            "stack": self.stack,
            "arch": self.arch,
            "root": self.root,
            "store": str(store),
            "cache": str(cache),
            "target": "elsewhere" if self.elsewhere else "here",
            "fit": "unchecked" if self.unchecked else "checked",
        }

    def words(self) -> str:
        """Return the variables to repeat in a command that is shown to the user."""
        return words({"stack": self.stack, **self.given})


def words(given: Mapping[str, str]) -> str:
    """Return variables as they are typed, each with a space after it."""
    return "".join(f"{shlex.quote(f'{name}={value}')} " for name, value in given.items())


def read_settings(
    home: Path,
    lock: Lock,
    given: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
    *,
    here: Path | None = None,
) -> Settings:
    """Join command line and environment. Raises UsageError for an unknown name or bad value.

    Relative folders are taken from `here`, where the user stands: doit itself goes to `home`.
    """
    here = here or Path.cwd()
    chosen = {
        name.removeprefix(_PREFIX).lower(): (value, name)
        for name, value in environ.items()
        if name.startswith(_PREFIX) and name not in _OTHER and value
    }
    chosen.update({name: (value, name) for name, value in given.items()})
    stack_name = chosen.pop("stack", ("", ""))[0] or lock.default
    stack = lock.stack(stack_name)
    components = {pin.component for pin in stack.pins}
    versions: dict[str, str] = {}
    values = dict.fromkeys(VARIABLES, "")
    for name, (value, written) in chosen.items():
        if name in components:
            versions[name] = value
        elif name in values:
            values[name] = value
        else:
            raise UsageError(
                f"there is no variable '{written}'.",
                where="command line" if written == name else "environment",
                cause="Variables are those of the table in README.md, and the components of stack "
                f"{stack_name}, each with a version.",
                fix=nearest(name, [*VARIABLES, *components]),
            )
    return Settings(
        home=home,
        stack=stack_name,
        arch=_target("arch", values["arch"] or "gfx1151", "gfx1151"),
        jobs=_jobs(values["jobs"]),
        store=_folder("store", values["store"], here) or home / "build" / "store",
        cache=_folder("cache", values["cache"], here) or _cache_home(environ) / "strixforge",
        sandbox=_sandbox(values["sandbox"] or "auto"),
        root=_root(values["root"] or stack.root, lock),
        mirrors=_mirrors(values["mirror"]),
        source=_source(values["source"], here),
        path=_folder("path", values["path"], here),
        compare=_folder("compare", values["compare"], here),
        beside=_target("beside", values["beside"], "gfx1100") if values["beside"] else "",
        sign_with=_folder("sign_with", values["sign_with"], here),
        signed_by=_folder("signed_by", values["signed_by"], here),
        only=_only(values["only"], components),
        channel=values["channel"] or stack.channel,
        release=values["release"],
        then=values["then"],
        unattended=_unattended(values["unattended"] or "systemd"),
        unchecked=_choice("fit", values["fit"] or "checked", "checked", "unchecked"),
        elsewhere=_choice("target", values["target"] or "here", "here", "elsewhere"),
        versions=versions,
        given=dict(given),
    )


def _target(name: str, text: str, example: str) -> str:
    if not _TARGET.fullmatch(text):
        raise UsageError(f"'{text}' is not a GPU target.", where=name, fix=f"{name}={example}")
    return text


def _sandbox(text: str) -> str:
    if text not in ("auto", "bwrap", "unshare"):
        raise UsageError(
            f"there is no sandbox '{text}'.",
            where="sandbox",
            cause="Without a sandbox nothing is built.",
            fix="sandbox=auto, bwrap or unshare",
        )
    return text


def _unattended(text: str) -> str:
    if text not in ("systemd", "github"):
        raise UsageError(
            f"nights cannot be started by '{text}'.",
            where="unattended",
            fix="unattended=systemd or github",
        )
    return text


def _root(text: str, lock: Lock) -> str:
    lock.root(text, where="root")
    return text


def _choice(name: str, text: str, usual: str, other: str) -> bool:
    """Return whether the other one of two words was chosen."""
    if text not in (usual, other):
        raise UsageError(
            f"there is no {name} '{text}'.", where=name, fix=f"{name}={usual} or {other}"
        )
    return text == other


def _source(text: str, here: Path) -> Path | None:
    path = _folder("source", text, here)
    if path is not None and not path.exists():
        raise UsageError(
            "there is nothing at that place.",
            where=f"source={text}",
            cause="It is a folder or an archive that prepare_<component> lays out and patches.",
            fix="./doit source=/a/folder prepare_vllm",
        )
    return path


def _only(text: str, components: set[str]) -> str:
    if text and text not in components:
        raise UsageError(
            f"there is no component '{text}' in this stack.",
            where="only",
            fix=nearest(text, components),
        )
    return text


def _mirrors(text: str) -> tuple[str, ...]:
    mirrors = tuple(text.split())
    for one in mirrors:
        if not _is_address(one):
            raise UsageError(
                f"'{one}' is no address of a mirror.",
                where="mirror",
                fix="mirror=https://HOST/debian    (several in quotes, with spaces between)",
            )
    return tuple(one.rstrip("/") for one in mirrors)


def _is_address(text: str) -> bool:
    try:
        urlsplit(text).port  # noqa: B018 - it is parsed when it is read
    except ValueError:
        return False
    return re.match(r"(https?|file)://[^/\s]*/", text + "/") is not None


def _jobs(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise UsageError(f"'{text}' is not a number of jobs.", where="jobs", fix="jobs=2")
    return int(text)


def _folder(name: str, text: str, here: Path) -> Path | None:
    try:
        return here / Path(text).expanduser() if text else None
    except RuntimeError:
        raise UsageError(
            f"'{text}' names the home folder of nobody.", where=name, fix=f"{name}=/a/folder"
        ) from None


def _cache_home(environ: Mapping[str, str]) -> Path:
    configured = environ.get("XDG_CACHE_HOME", "")
    return Path(configured) if configured.startswith("/") else Path.home() / ".cache"
