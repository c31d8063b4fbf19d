"""`doit nightly_install`: writes what makes nights run by themselves, and starts nothing."""

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING

from strixforge.actions.releases import channel_of
from strixforge.nightly.candidate import followed
from strixforge.settings import VARIABLES
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

if TYPE_CHECKING:
    from strixforge.nightly.unattended import Night

_AT = dt.time(3, 30)


def install_nights(ws: Workspace) -> None:
    """Write the units of systemd, or GitHub's workflow, for the nights of this stack.

    Raises UsageError where the stack follows no channel, or a path cannot be written down.
    """
    from strixforge.nightly.unattended import Night

    followed(ws.plan)
    channel_of(ws)
    night = Night(ws.plan.stack, ws.settings.home, _words(ws), _AT)
    if ws.settings.unattended == "github":
        _install_workflow(night)
    else:
        _install_units(night)


def _install_units(night: "Night") -> None:
    from strixforge.nightly.unattended import service, timer

    folder = _config_home() / "systemd" / "user"
    units = {f"{night.name}.service": service(night), f"{night.name}.timer": timer(night)}
    for name, text in units.items():
        _write(folder / name, text)
    BOARD.write(
        f"""
Start them:
  systemctl --user daemon-reload
  systemctl --user enable --now {night.name}.timer
  loginctl enable-linger    (so that they run when nobody is logged in)
Look at them:
  systemctl --user list-timers {night.name}.timer
  journalctl --user -u {night.name}.service
Another time than {night.at:%H:%M}, or other settings:
  systemctl --user edit {night.name}.timer"""
    )


def _install_workflow(night: "Night") -> None:
    from strixforge.nightly.unattended import LABEL, workflow

    path = night.home / ".github" / "workflows" / f"{night.name}.yml"
    _write(path, workflow(night))
    BOARD.write(
        f"""
Commit it: GitHub starts it by the repository's default branch, about {night.at:%H:%M} UTC.
It waits for a runner of your own:
  Linux on x86_64, with the label {LABEL}; one alone, as what is promoted stays on it
  what README.md says that a build needs, and disk for the store
  its folder kept between jobs: an ephemeral runner builds everything each night
  git that may read the repository: a private one needs the runner's own credentials
Paths that you gave as variables must be there on the runner too.
Keep the repository private: in a public one, others may run code on your runner."""
    )


def _words(ws: Workspace) -> tuple[str, ...]:
    """Return the variables of this run; the night has neither this folder nor this environment."""
    settings = ws.settings
    names = (*VARIABLES, *ws.plan.components)
    exported = {name: os.environ.get(f"STRIXFORGE_{name.upper()}", "") for name in names}
    given = {name: text for name, text in exported.items() if text} | settings.given
    for name in ("stack", "unattended"):
        given.pop(name, None)
    folders = {
        "store": settings.store,
        "cache": settings.cache,
        "source": settings.source,
        "path": settings.path,
        "compare": settings.compare,
        "sign_with": settings.sign_with,
        "signed_by": settings.signed_by,
    }
    absolute = {name: str(path) for name, path in folders.items() if path and name in given}
    night = {"stack": settings.stack, **given, **absolute}
    return tuple(f"{name}={text}" for name, text in night.items())


def _config_home() -> Path:
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(configured) if configured.startswith("/") else Path.home() / ".config"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Neither systemd nor GitHub reads a file of that name.
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
    BOARD.say("nightly_install", f"wrote {path}")
