"""Where the machine's indexes and find-links places offer the files of a locked distribution."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import canonicalize_name
from pypi_simple import (
    NoSuchProjectError,
    ProjectPage,
    PyPISimple,
    UnparsableFilenameError,
    UnsupportedRepoVersionError,
    parse_filename,
)

from strixforge.model.digests import file_sha256
from strixforge.model.errors import FetchError, IntegrityError
from strixforge.model.pins import same_version
from strixforge.plan.requirements import Locked
from strixforge.sources.http import TIMEOUT, file_name, session, without_secrets
from strixforge.sources.index_config import IndexConfig, as_url


def addresses(locked: Locked, config: IndexConfig) -> dict[str, str]:
    """Return the addresses of the locked files, by hash.

    Raises FetchError when none is offered, and IntegrityError when a hash is another version's.
    """
    found: dict[str, str] = {}
    troubles: list[str] = []
    places = [
        *((place, _linked) for place in config.find_links),
        *((place, _indexed) for place in config.indexes),
    ]
    for place, offered in places:
        if locked.hashes <= found.keys():
            break
        try:
            for sha256, url in offered(as_url(place), locked, config):
                found.setdefault(sha256, url)
        except (NoSuchProjectError, FileNotFoundError):
            continue
        # OSError is what requests raises too; ValueError a page that is not one.
        except (OSError, ValueError, UnsupportedRepoVersionError) as error:
            troubles.append(f"{without_secrets(place)}: {type(error).__name__}")
    if not found:
        raise FetchError(
            f"{locked.name} {locked.version}: no package index of this machine offers the locked "
            "file.",
            where=f"{len(places)} configured; {'; '.join(troubles) or 'all answered'}",
            cause="No network, an index without this file, or a version that was removed."
            if troubles
            else "The version was removed from the index, or the lock is wrong.",
            fix="Check the machine's pip or uv configuration and network, then ./doit fetch",
        )
    _check_names(locked, found)
    return found


def _check_names(locked: Locked, found: dict[str, str]) -> None:
    """Raise IntegrityError when a file of those hashes is not of that name and version."""
    for sha256, url in found.items():
        name, version = _parse(url, locked.name)
        if canonicalize_name(name) != locked.name or not same_version(version, locked.version):
            raise IntegrityError(
                f"the hash of {locked.name} {locked.version} is that of another file.",
                where=without_secrets(url),
                cause=f"sha256 {sha256} is in the lock, but the index gives it to this file.",
                fix="Mend the version or the hash in the lock.",
            )


def _parse(url: str, project: str) -> tuple[str, str]:
    """Return the name and version of a file; empty for what is no distribution."""
    try:
        name, version, _ = parse_filename(file_name(url), project)
    except UnparsableFilenameError:
        return "", ""
    return name, version


def _indexed(index: str, locked: Locked, config: IndexConfig) -> Iterator[tuple[str, str]]:
    """Yield (sha256, address) for each wanted file that an index lists."""
    if urlsplit(index).scheme == "file":
        yield from _on_page(urljoin(index.rstrip("/") + "/", f"{locked.name}/index.html"), locked)
        return
    simple = PyPISimple(index, session=session(config.verify))
    page = simple.get_project_page(locked.name, timeout=TIMEOUT)
    yield from _wanted(page, locked)


def _linked(place: str, locked: Locked, config: IndexConfig) -> Iterator[tuple[str, str]]:
    """Yield (sha256, address) for each wanted file of a find-links folder or page."""
    if urlsplit(place).scheme != "file":
        reply = session(config.verify).get(place, timeout=TIMEOUT)
        reply.raise_for_status()
        yield from _wanted(ProjectPage.from_response(reply, locked.name), locked)
        return
    path = Path(unquote(urlsplit(place).path))
    if not path.is_dir():
        yield from _on_page(place, locked)
        return
    for file in sorted(path.iterdir()):
        if canonicalize_name(_parse(file.as_uri(), locked.name)[0]) == locked.name:
            sha256 = file_sha256(file)
            if sha256 in locked.hashes:
                yield sha256, file.as_uri()


def _on_page(url: str, locked: Locked) -> Iterator[tuple[str, str]]:
    html = Path(unquote(urlsplit(url).path)).read_bytes()
    yield from _wanted(ProjectPage.from_html(locked.name, html, base_url=url), locked)


def _wanted(page: ProjectPage, locked: Locked) -> Iterator[tuple[str, str]]:
    for package in page.packages:
        sha256 = package.digests.get("sha256")
        if sha256 in locked.hashes:
            yield sha256, package.url
