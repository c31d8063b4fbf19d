"""Where an archive can be reached: its own address, or the mirrors that this machine knows.

No mirror's address is written in strixforge. A wrong one does no harm: what is taken from it is
known by a signature or a hash.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from debian.deb822 import Deb822

from strixforge.model.errors import UsageError
from strixforge.model.repository import Repository

_APT = Path("/etc/apt")
_LINE = re.compile(r"deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


def addresses(
    name: str, repository: Repository, mirrors: tuple[str, ...], apt: Path = _APT
) -> list[str]:
    """Return the addresses to try: the user's mirrors, or else those that apt knows.

    Raises UsageError when an archive's mirror is not known.
    """
    if repository.url is not None:
        return [repository.url.rstrip("/")]
    found = list(mirrors or _configured(apt))
    if not found:
        raise UsageError(
            f"no mirror of {repository.archive} is known on this machine.",
            where=f"repository.{name}; {apt}/sources.list and sources.list.d",
            cause="Mirrors are taken from apt's own configuration, and there is none.",
            fix=f"Give the command again with mirror=https://HOST/{repository.archive}\n"
            "Debian's are listed at https://www.debian.org/mirror/list",
        )
    return found


def mirror_hint(name: str) -> str:
    """Return what to type next when no address of a repository answers as it should."""
    return (
        f"Check the network, and `suite` and `url` of [repository.{name}]. Another mirror: "
        "give the command again with mirror=ADDRESS\n"
        "It takes the place of those that apt is told to use: where a stack needs Debian's archive "
        'and Ubuntu\'s, mirror="ADDRESS ADDRESS"'
    )


@lru_cache(maxsize=4)
def _configured(apt: Path) -> tuple[str, ...]:
    """Return the addresses of apt's sources that have a component main, in their order."""
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    found: list[str] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if file.suffix == ".list":
            found += _one_line(text)
        elif file.suffix == ".sources":
            found += _stanzas(text)
    addresses = (uri.rstrip("/") for uri in found)
    return tuple(
        dict.fromkeys(one for one in addresses if one.startswith(("http://", "https://", "file:/")))
    )


def _one_line(text: str) -> Iterator[str]:
    for line in text.splitlines():
        match = _LINE.fullmatch(line.split("#")[0].strip())
        if match and "main" in match["components"].split():
            yield match["uri"]


def _stanzas(text: str) -> Iterator[str]:
    for stanza in Deb822.iter_paragraphs(text.splitlines(), use_apt_pkg=False):
        enabled = stanza.get("enabled", "yes").strip().lower() not in ("no", "false", "0")
        if enabled and _has(stanza, "types", "deb") and _has(stanza, "components", "main"):
            yield from stanza.get("uris", "").split()


def _has(stanza: Mapping[str, str], field: str, word: str) -> bool:
    return word in stanza.get(field, "").split()
