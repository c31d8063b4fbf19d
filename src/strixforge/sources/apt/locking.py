"""From wanted packages to their list: signed indexes, dependencies, one hash each."""

from collections.abc import Mapping

from strixforge.model.errors import FetchError, IntegrityError, StrixforgeError
from strixforge.model.packages import PackageList
from strixforge.model.pins import AptPin
from strixforge.model.repository import Repository
from strixforge.sources.apt import simulate
from strixforge.sources.apt.archive import Archive
from strixforge.sources.apt.closure import closure
from strixforge.sources.apt.mirrors import addresses, mirror_hint
from strixforge.sources.apt.release import Index, read_index

_NAMED = 6


def resolve(
    pin: AptPin,
    repositories: Mapping[str, Repository],
    mirrors: tuple[str, ...],
    *,
    allow_expired: bool,
) -> PackageList:
    """Return every package that the pin needs, by hash.

    Raises FetchError, IntegrityError for what is not as it was signed, HostError without gpgv.
    """
    indexes = _indexes(pin, repositories, mirrors, allow_expired=allow_expired)
    archive = Archive(indexes)
    # apt knows no system that has some dependencies already, which is what a prefix is for.
    if pin.folder is None and simulate.available():
        resolver, found = simulate.version(), simulate.simulate(indexes, pin.packages)
    else:
        may_leave = pin.folder is not None
        resolver = "strixforge"
        found = closure(archive, pin.packages, may_leave=may_leave)
    chosen = {**_alone(archive, pin), **found.packages}
    return PackageList(
        version=1,
        resolver=resolver,
        wanted=pin.packages,
        alone=pin.alone,
        release=tuple(index.release for index in indexes),
        package=tuple(archive.package(*one) for one in sorted(chosen.items())),
        left=found.left,
    )


def prove(
    pin: AptPin,
    listed: PackageList,
    repositories: Mapping[str, Repository],
    mirrors: tuple[str, ...],
    *,
    allow_expired: bool,
) -> int:
    """Hold every listed package against the signed indexes of today. Returns how many agree.

    Raises IntegrityError for a version that has other bytes now, FetchError where some are gone.
    """
    archive = Archive(_indexes(pin, repositories, mirrors, allow_expired=allow_expired))
    gone, changed = [], []
    for package in listed.package:
        found = archive.versions(package.name).get(package.version)
        if found is None:
            gone.append(str(package))
        elif found.field("SHA256") != package.sha256:
            changed.append(f"{package}: {found.field('SHA256')}, the lock says {package.sha256}")
    where = f"repositories {', '.join(pin.repositories)}"
    if changed:
        raise IntegrityError(
            f"{len(changed)} listed package(s) of {pin.component} have other bytes in the index "
            "now.",
            where="\n".join([where, *changed[:_NAMED]]),
            cause="An archive gives a new version another number.",
            fix="Find out why before anything is built from it.",
        )
    if gone:
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        raise FetchError(
            f"{len(gone)} of the {len(listed.package)} packages of {pin.component} are no longer "
            "in the index.",
            where=f"{where}: {', '.join(gone[:_NAMED])}{more}",
            cause="Newer versions took their place; a cache that has them still does.",
            fix="./doit lock    (finds what the archive has now)",
        )
    return len(listed.package)


def _indexes(
    pin: AptPin,
    repositories: Mapping[str, Repository],
    mirrors: tuple[str, ...],
    *,
    allow_expired: bool,
) -> list[Index]:
    return [
        _index(name, repositories[name], mirrors, allow_expired=allow_expired)
        for name in pin.repositories
    ]


def _alone(archive: Archive, pin: AptPin) -> dict[str, str]:
    """Return the packages that are taken without their dependencies. Raises FetchError."""
    found = {}
    for name in pin.alone:
        stanza = archive.candidate(name)
        if stanza is None:
            raise FetchError(
                f"no repository of the pin has the package {name}.",
                where=f"{pin.component}: alone",
                fix="Mend `alone` or `repositories` of the pin.",
            )
        found[name] = stanza.field("Version")
    return found


def _index(
    name: str, repository: Repository, mirrors: tuple[str, ...], *, allow_expired: bool
) -> Index:
    """Return the index from the first address that has the suite.

    An address that is down or of another archive is passed over; the last trouble is told when all
    are. One whose signature or hash is wrong is not: that must be seen.
    """
    trouble: StrixforgeError | None = None
    for address in addresses(name, repository, mirrors):
        try:
            return read_index(name, repository, address, allow_expired=allow_expired)
        except FetchError as error:
            trouble = trouble or error
    if trouble is None:  # pragma: no cover - addresses() has at least one
        raise FetchError(f"the repository {name} has no address.")
    trouble.fix = mirror_hint(name)
    raise trouble
