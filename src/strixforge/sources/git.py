"""Commits of git repositories, kept in one bare mirror a URL, shallow, with their submodules."""

import contextlib
import hashlib
import os
import posixpath
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import git
from git.exc import GitCommandError

from strixforge.model.errors import ArchiveError, FetchError, HostError, IntegrityError
from strixforge.model.pins import GitPin
from strixforge.sources import Progress, Site
from strixforge.sources.cache import Cache
from strixforge.sources.unpacking import check_links

_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",  # no ext::, which runs commands
    "GIT_LFS_SKIP_SMUDGE": "1",
    # Where strixforge runs from a git hook, git has set these for another repository.
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
    "GIT_NAMESPACE": "",
}
# A checkout must not depend on the user's configuration: line endings, filters, attributes.
_NO_CONFIGURATION = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_PARAMETERS": "",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.attributesFile",
    "GIT_CONFIG_VALUE_0": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
}


@dataclass(frozen=True, slots=True)
class _Module:
    """A submodule as a commit records it."""

    path: str
    url: str
    commit: str


def digest(pin: GitPin, site: Site) -> str:
    """Return the commit, which names its content."""
    del site
    return f"git:{pin.commit}{'' if pin.submodules else ' without submodules'}"


def missing(pin: GitPin, site: Site) -> bool:
    """Say whether the commit, or a submodule of it, must be fetched."""
    return _lacks(site.cache, pin.url, pin.commit, pin.submodules)


def fetch(pin: GitPin, site: Site, progress: Progress) -> None:
    """Fetch the commit and its submodules. Raises FetchError."""
    del progress  # git tells no byte counts while it receives
    _fetch(site.cache, pin.url, pin.commit, pin.submodules, what=f"{pin.component} {pin.version}")


def unpack(pin: GitPin, site: Site, target: Path) -> None:
    """Check every object of the mirror, then lay out the commit. Raises IntegrityError."""
    what = f"{pin.component} {pin.version}"
    _checkout(site.cache, pin.url, pin.commit, target, pin.submodules, what=what)
    check_links(target, what)


def keep(pin: GitPin, cache: Cache) -> None:
    """Put a commit that the cache has into its mirror too, with its submodules."""
    if cache.mirror is not None and not _lacks(cache, pin.url, pin.commit, pin.submodules):
        what = f"{pin.component} {pin.version}"
        _keep(cache, Cache(cache.mirror), pin.url, pin.commit, pin.submodules, what=what)


def git_environment() -> dict[str, str]:
    """Return the environment of a git that asks a remote: no prompts, and only safe protocols."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, **_ENVIRONMENT, "LC_ALL": "C"}


def _mirror(cache: Cache, url: str) -> Path:
    return cache.root / "git" / hashlib.sha256(url.encode()).hexdigest()[:32]


def _open(path: Path) -> git.Repo | None:
    try:
        repo = git.Repo(path, expand_vars=False)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        return None
    repo.git.update_environment(**_environment(path))
    return repo


def _environment(path: Path) -> dict[str, str]:
    here = {
        "GIT_DIR": str(path),
        "GIT_OBJECT_DIRECTORY": str(path / "objects"),
        "GIT_INDEX_FILE": str(path / "index"),
    }
    return {**_ENVIRONMENT, **here}


def _make(path: Path) -> git.Repo:
    """Make an empty mirror; the user's template could bring hooks and attributes along."""
    path.mkdir(parents=True, exist_ok=True)
    command = git.Git(path)
    command.update_environment(**_environment(path))
    cause = "What is in that folder is no git repository."
    try:
        command.init("--bare", "--quiet", "--template=")
    except GitCommandError as error:
        cause = _last_line(error)
    repo = _open(path)
    if repo is None:
        raise FetchError(
            "git could not make a mirror in the download cache.",
            where=str(path),
            cause=cause,
            fix=f"rm -rf '{path}' && ./doit fetch",
        )
    return repo


def _alone(path: Path) -> git.Repo:
    """Return a mirror, made if need be; the caller holds its lock."""
    for stale in (*path.glob("*.lock"), *path.glob("refs/**/*.lock")):
        stale.unlink()  # of a git that was killed: nobody else is at work here now
    return _open(path) or _make(path)


def _has(repo: git.Repo, commit: str) -> bool:
    try:
        repo.git.rev_parse("--verify", "--quiet", f"{commit}^{{tree}}")
        # A shallow fetch that was killed may leave the commit without its tree.
        repo.git.rev_list("--objects", "--quiet", "--no-walk", commit)
    except GitCommandError:
        return False
    return True


def _lacks(cache: Cache, url: str, commit: str, submodules: bool) -> bool:
    repo = _open(_mirror(cache, url))
    if repo is None or not _has(repo, commit):
        return True
    modules = _submodules(repo, url, commit) if submodules else []
    return any(_lacks(cache, module.url, module.commit, submodules) for module in modules)


def _fetch(cache: Cache, url: str, commit: str, submodules: bool, *, what: str) -> None:
    path = _mirror(cache, url)
    with cache.locked(path.name):
        repo = _alone(path)
        if not _has(repo, commit) and not _from_mirror(repo, cache, url, commit):
            _receive(repo, url, commit, what)
        _hold(repo, commit)
    if submodules:
        for module in _submodules(repo, url, commit):
            _fetch(cache, module.url, module.commit, submodules, what=f"{what}: {module.path}")


def _keep(cache: Cache, kept: Cache, url: str, commit: str, submodules: bool, *, what: str) -> None:
    path, source = _mirror(kept, url), _open(_mirror(cache, url))
    if source is None:
        return  # somebody emptied the cache meanwhile
    with kept.locked(path.name):
        try:
            repo = _alone(path)
            _hold(source, commit)  # a fetch that was killed may have come without
            if not _has(repo, commit):
                _copy(repo, _mirror(cache, url), commit)
            _hold(repo, commit)
        except GitCommandError as error:
            raise HostError(
                f"{what} could not be copied into the store's mirror.",
                where=str(path),
                cause=_last_line(error),
                fix="Free space, or mend that; the same command tries it again.",
            ) from None
    for module in _submodules(source, url, commit) if submodules else []:
        _keep(cache, kept, module.url, module.commit, submodules, what=f"{what}: {module.path}")


def _from_mirror(repo: git.Repo, cache: Cache, url: str, commit: str) -> bool:
    """Take a commit from the cache's mirror, and say whether it was there."""
    if cache.mirror is None:
        return False
    path = _mirror(Cache(cache.mirror), url)
    kept = _open(path)
    if kept is None or not _has(kept, commit):
        return False
    with contextlib.suppress(GitCommandError):  # damaged: the origin is asked
        _copy(repo, path, commit)
    return _has(repo, commit)


def _copy(repo: git.Repo, source: Path, commit: str) -> None:
    """Copy one commit from a repository of ours, by the ref that holds it there."""
    options = ("--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
    # The store may be another user's; every object is hashed on its way.
    pack = "--upload-pack=git -c safe.directory=* upload-pack"
    spec = f"+{_ref(commit)}:{_ref(commit)}"
    repo.git.fetch("--depth=1", pack, *options, "--", str(source), spec)


def _receive(repo: git.Repo, url: str, commit: str, what: str) -> None:
    """Fetch one commit; where a server does not give single commits, all that it names."""
    options = ("--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
    try:
        repo.git.fetch("--depth=1", *options, "--", url, commit)
    except GitCommandError as error:
        try:
            repo.git.fetch(*options, "--", url, "+refs/*:refs/mirror/*")
        except GitCommandError:
            raise FetchError(
                f"{what}: git could not fetch {commit[:12]}.",
                where=url,
                cause=_last_line(error),
                fix="Check the address and the network, then try again.",
            ) from None
    if not _has(repo, commit):
        try:
            repo.git.cat_file("-e", commit)
        except GitCommandError:
            pass
        else:  # git asks for nothing below a commit that it has
            raise _damaged(Path(repo.git_dir), what, "An object of that commit is missing.")
        raise FetchError(
            f"{what}: the repository has no commit {commit}.",
            where=url,
            cause="It was removed by a force push, or the pin is wrong.",
            fix="Find the commit's new home, and mend the pin.",
        )


def _hold(repo: git.Repo, commit: str) -> None:
    """Give the commit a ref: it keeps it from git's garbage collection, and copies ask for it."""
    repo.git.update_ref(_ref(commit), commit)


def _ref(commit: str) -> str:
    return f"refs/strixforge/{commit}"


def _submodules(repo: git.Repo, url: str, commit: str) -> list[_Module]:
    """Return the submodules that a commit records, their addresses resolved against `url`."""
    links = {}
    for line in repo.git.ls_tree("-r", "-z", commit).split("\0"):
        mode, _, rest = line.partition(" ")
        if mode == "160000":
            recorded, _, path = rest.removeprefix("commit ").partition("\t")
            links[path] = recorded
    if not links:
        return []
    values: dict[str, dict[str, str]] = {}
    try:
        listing = repo.git.config("--blob", f"{commit}:.gitmodules", "--list", "-z")
    except GitCommandError:
        return []  # without .gitmodules, or with a broken one, git clones none either
    for entry in listing.split("\0"):
        key, _, value = entry.partition("\n")
        section, _, field = key.rpartition(".")
        values.setdefault(section, {})[field] = value
    places = {
        table["path"]: table["url"] for table in values.values() if {"path", "url"} <= table.keys()
    }
    return [
        _Module(path, _resolve(url, places[path]), recorded)
        for path, recorded in sorted(links.items())
        if path in places  # a submodule without an address is not cloned by git either
    ]


def _resolve(base: str, url: str) -> str:
    """Resolve a relative submodule address as git does: against the parent's own address."""
    if not url.startswith(("./", "../")):
        return url
    if "://" in base:
        parts = urlsplit(base)
        return urlunsplit(parts._replace(path=posixpath.normpath(f"{parts.path}/{url}")))
    host, colon, path = base.rpartition(":") if not base.startswith("/") else ("", "", base)
    return host + colon + posixpath.normpath(f"{path}/{url}")


def _checkout(
    cache: Cache,
    url: str,
    commit: str,
    target: Path,
    submodules: bool,
    *,
    what: str,
) -> None:
    repo = _open(_mirror(cache, url))
    try:
        if repo is None:
            raise IntegrityError(
                f"{what} is not in the download cache.",
                where=url,
                cause="The cache was emptied after the download.",
                fix="./doit fetch",
            )
        # Hashes every object, which reading alone does not.
        repo.git.fsck("--full", "--no-dangling", "--no-progress")
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            checkout = {
                "GIT_INDEX_FILE": str(Path(folder, "index")),
                "GIT_WORK_TREE": str(target.absolute()),
            }
            with repo.git.custom_environment(**checkout, **_NO_CONFIGURATION):
                repo.git.read_tree(commit)
                repo.git.checkout_index("--all", "--force")
    except GitCommandError as error:
        raise _damaged(_mirror(cache, url), what, _last_line(error)) from None
    for module in _submodules(repo, url, commit) if submodules else []:
        place = target / module.path
        if not place.resolve().is_relative_to(target.resolve()):
            raise ArchiveError(
                f"{what}: submodule '{module.path}' lies outside the source.",
                where=url,
                cause="A harmless repository never has that.",
                fix="Do not use this commit.",
            )
        _checkout(
            cache, module.url, module.commit, place, submodules, what=f"{what}: {module.path}"
        )


def _damaged(mirror: Path, what: str, cause: str) -> IntegrityError:
    return IntegrityError(
        f"{what}: the git mirror in the download cache is damaged.",
        where=str(mirror),
        cause=cause,
        fix=f"rm -rf '{mirror}' && ./doit fetch",
    )


def _last_line(error: GitCommandError) -> str:
    lines = [line for line in str(error.stderr).strip().strip("'").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"git ended with {error.status}"
