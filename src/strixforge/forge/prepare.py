"""Source to prepared source: unpack, check, patch; anything that does not fit stops the build."""

import os
import shutil
import subprocess
from pathlib import Path

from strixforge.model.errors import HostError, PatchError, UsageError
from strixforge.model.patch import Patch
from strixforge.plan.graph import Component
from strixforge.sources import Site, kind_of
from strixforge.sources.unpacking import unpack_archive
from strixforge.store.tree import normalise


def prepare(component: Component, site: Site, target: Path) -> str:
    """Lay out the component's patched source in `target`, replacing what was there.

    Modes and times are normalised. Returns the name of the top folder that an archive had, or an
    empty text. Raises IntegrityError, ArchiveError or PatchError.
    """
    remove_tree(target)
    target.mkdir(parents=True)
    folder = kind_of(component.pin).unpack(component.pin, site, target)
    for patch in component.patches:
        apply(patch, target, component.name)
    normalise(target)
    _set_times(target, component.pin.epoch)
    return folder or ""


def lay_out_other(given: Path, target: Path, epoch: int) -> None:
    """Lay out a source that is not the pinned one, a folder or an archive; nothing is patched.

    Raises ArchiveError.
    """
    if given.is_dir() and target.resolve().is_relative_to(given.resolve()):
        raise UsageError(
            "source= holds the folder that it would be copied into.",
            where=f"source={given}",
            fix="Name the source's own folder.",
        )
    remove_tree(target)
    target.mkdir(parents=True)
    if given.is_dir():
        try:
            shutil.copytree(given, target, symlinks=True, dirs_exist_ok=True)
        except shutil.Error as error:
            raise HostError(
                "some of what is in that folder cannot be copied.",
                where="\n".join(str(one[0]) for one in error.args[0][:5]),
                cause="Only files, folders and links that you may read are a source.",
                fix="Remove it from a copy, and give that one.",
            ) from None
    else:
        unpack_archive(given, target)
    normalise(target)
    _set_times(target, epoch)


def remove_tree(root: Path) -> None:
    """Remove a folder with all in it, also what a step has made unwritable."""
    if not root.exists():
        return
    for folder, folders, _ in os.walk(root):
        for name in folders:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(root)


def apply(patch: Patch, target: Path, component: str) -> None:
    """Apply one patch to the source in `target`. Raises PatchError."""
    if _git_apply(patch, target, "--check", "--reverse").returncode == 0:
        raise PatchError(
            f"{patch.path.name} has no effect: {component}'s source has the change already.",
            where=str(patch.path),
            cause="Upstream took the change, or the patch is applied twice.",
            fix="Set Applied-Upstream in its header to that version, or remove the patch.",
        )
    applied = _git_apply(patch, target)
    if applied.returncode:
        message = applied.stderr.decode(errors="replace").strip()
        raise PatchError(
            f"{patch.path.name} does not apply to {component}.",
            where=f"{patch.path}\n{message}",
            cause="The source moved on since the patch was written.",
            fix=f"Compare it with the source in {target}, and renew the patch.",
        )


def _git_apply(patch: Patch, target: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run git apply. Outside a repository, as far as git knows: in one it skips files silently."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CEILING_DIRECTORIES": str(target.parent.resolve()),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    return subprocess.run(
        ["git", "apply", "-p1", "--whitespace=nowarn", *options, str(patch.path.resolve())],
        cwd=target,
        env=environment,
        capture_output=True,
        check=False,
    )


def _set_times(root: Path, epoch: int) -> None:
    for folder, folders, files in os.walk(root, topdown=False):
        for name in (*files, *folders):
            os.utime(Path(folder, name), (epoch, epoch), follow_symlinks=False)
