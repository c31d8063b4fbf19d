"""Debian packages: a prefix or a whole root, unpacked without dpkg and without being root.

Downloads are known by the hashes of the list in locks/apt/. Signatures and dependencies matter when
that list is made (`doit lock`), and not any more when it is used.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from strixforge.model.errors import FetchError
from strixforge.model.packages import Package, load_packages
from strixforge.model.pins import AptPin
from strixforge.sources import Progress, Site

_DOWNLOADS = 8  # at once


def digest(pin: AptPin, site: Site) -> str:
    """Return the hash of the list of packages. Raises UnpinnedError or IntegrityError for it."""
    load_packages(site.home, pin)
    return f"apt:{pin.sha256}" + (f" {pin.folder}" if pin.folder else "")


def missing(pin: AptPin, site: Site) -> bool:
    """Say whether a package must be downloaded."""
    packages = load_packages(site.home, pin).package
    return any(site.cache.find(one.sha256) is None for one in packages)


def fetch(pin: AptPin, site: Site, progress: Progress) -> None:
    """Download the packages that are missing, several at a time. Raises FetchError."""
    packages = load_packages(site.home, pin)
    wanted = [one for one in packages.package if site.cache.find(one.sha256) is None]
    # All keys from the start: threads add up while others write.
    have = {one.sha256: 0 if one in wanted else one.size for one in packages.package}

    down: set[str] = set()

    def one(package: Package) -> None:
        def tell(done: int, _: int | None) -> None:
            have[package.sha256] = done
            progress(sum(have.values()), packages.bytes())

        _download(package, pin, site, down, tell)

    pool = ThreadPoolExecutor(max_workers=_DOWNLOADS)
    try:
        list(pool.map(one, wanted))
    finally:
        pool.shutdown(cancel_futures=True)  # after a failure, the rest is not begun


def unpack(pin: AptPin, site: Site, target: Path) -> None:
    """Unpack every verified package into `target`. Raises ArchiveError or IntegrityError."""
    from strixforge.sources.apt.unpacking import unpack_packages

    packages = load_packages(site.home, pin).package
    files = [(str(one), site.cache.verified(one.sha256, what=str(one))) for one in packages]
    unpack_packages(files, target, folder=pin.folder)


def _download(
    package: Package, pin: AptPin, site: Site, down: set[str], progress: Progress
) -> None:
    """Take a package from the first address that has it; those that were down are asked last."""
    from strixforge.sources.apt.mirrors import addresses, mirror_hint
    from strixforge.sources.http import MissingFileError, download, without_secrets

    repository = site.repositories[package.repository]
    gone: list[str] = []
    trouble: FetchError | None = None
    places = addresses(package.repository, repository, site.mirrors)
    for address in sorted(places, key=lambda one: one in down):
        url = f"{address}/{package.path}"
        try:
            download(url, package.sha256, site.cache, progress, what=str(package))
        except MissingFileError:
            gone.append(without_secrets(url))
        except FetchError as error:
            down.add(address)
            trouble = trouble or error
        else:
            return
    if trouble is not None:
        trouble.fix = mirror_hint(package.repository)
        raise trouble
    raise FetchError(
        f"{package} is not in the archive any more.",
        where="\n".join(gone),
        cause=f"The suite {repository.suite} has moved on since {pin.component} was locked; "
        "mirrors keep the newest version only.",
        fix="./doit lock    (locks what is there now; then look at `git diff locks/`)",
    )
