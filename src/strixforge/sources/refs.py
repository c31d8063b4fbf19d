"""Which commit a tag, a branch or the first digits of one stand for, in a remote repository."""

import re
import subprocess
import tempfile
from pathlib import Path

from strixforge.model.errors import FetchError
from strixforge.sources.git import git_environment
from strixforge.sources.http import without_secrets

_ABBREVIATED = re.compile(r"[0-9a-f]{7,40}")
_LINE = re.compile(r"(?P<commit>[0-9a-f]{40})\s+(?P<name>\S+)")
_SECONDS = 120
_CLONE_SECONDS = 1800


def resolve_ref(url: str, ref: str) -> str:
    """Return the commit of a tag (peeled), else of a branch, else of a commit's first digits.

    The last one needs all commits of the repository, without their files. Raises FetchError.
    """
    if not ref:
        raise FetchError("the pin has neither commit nor ref.", where=url, fix="Add `ref`.")
    names = [f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}"]
    listed = _git(["ls-remote", "--", url, *names], url, _SECONDS)
    found = {match["name"]: match["commit"] for match in _LINE.finditer(listed)}
    for name in names:
        if name in found:
            return found[name]
    if _ABBREVIATED.fullmatch(ref):
        return _whole(url, ref)
    raise FetchError(
        f"the repository has neither a tag nor a branch '{ref}'.",
        where=without_secrets(url),
        cause="It was removed or renamed.",
        fix=f"git ls-remote '{without_secrets(url)}'    (lists what there is)",
    )


def _whole(url: str, digits: str) -> str:
    """Return the commit that begins with these digits."""
    with tempfile.TemporaryDirectory() as folder:
        clone = str(Path(folder, "clone"))
        commits = ["clone", "--quiet", "--bare", "--filter=tree:0", "--", url, clone]
        _git(commits, url, _CLONE_SECONDS)
        try:
            text = _git(["-C", clone, "rev-parse", f"{digits}^{{commit}}"], url, _SECONDS)
        except FetchError as error:
            raise FetchError(
                f"the repository has no commit that begins with {digits}, or several.",
                where=without_secrets(url),
                cause=error.cause,
                fix="Write more of its digits as `ref`, or the whole as `commit`.",
            ) from None
    return text.strip()


def _git(arguments: list[str], url: str, seconds: int) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            env=git_environment(),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise FetchError(
            f"git did not answer within {seconds} s.", where=without_secrets(url), fix="Try again."
        ) from None
    if done.returncode:
        raise FetchError(
            f"the repository {without_secrets(url)} cannot be asked.",
            where=without_secrets(url),
            cause=" ".join(done.stderr.split())[:300],
            fix="Check the network and the address.",
        )
    return done.stdout
