"""Where this machine takes Python packages from: uv's variables, pip's variables and files.

No address is written in strixforge: with nothing configured, the default is pypi-simple's own.
"""

import configparser
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """Simple-API addresses, find-links places, and the CA file for both."""

    indexes: tuple[str, ...]
    find_links: tuple[str, ...]
    verify: str | bool


def index_config(
    environ: Mapping[str, str] = os.environ, system: Path = Path("/etc/pip.conf")
) -> IndexConfig:
    """Read the configuration. uv's variables win over pip's, variables over files."""
    pip = _pip_files(environ, system)

    def setting(name: str) -> str:
        variable = environ.get(f"PIP_{name.upper().replace('-', '_')}")
        return variable if variable is not None else pip.get(name, "")

    if setting("no-index").lower() in ("1", "t", "true", "y", "yes", "on"):
        indexes: list[str] = []
    else:
        default = (
            environ.get("UV_DEFAULT_INDEX")
            or environ.get("UV_INDEX_URL")
            or setting("index-url")
            or _library_default()
        )
        extra = (
            environ.get("UV_INDEX")
            or environ.get("UV_EXTRA_INDEX_URL")
            or setting("extra-index-url")
        )
        indexes = [_without_name(default), *(_without_name(one) for one in extra.split())]
    links = environ.get("UV_FIND_LINKS", "").replace(",", " ") or setting("find-links")
    return IndexConfig(
        indexes=tuple(dict.fromkeys(indexes)),
        find_links=tuple(links.split()),
        verify=environ.get("SSL_CERT_FILE") or setting("cert") or True,
    )


def _library_default() -> str:
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return PYPI_SIMPLE_ENDPOINT


def _without_name(index: str) -> str:
    """uv writes an index as name=address."""
    name, equals, address = index.partition("=")
    return address if equals and name.replace("-", "").replace("_", "").isalnum() else index


def _pip_files(environ: Mapping[str, str], system: Path) -> dict[str, str]:
    """Return pip's settings: of files the later wins, of sections [install], as in pip."""
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return {}  # pip's way to say: no files at all
    home = Path(environ.get("HOME") or Path.home())
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    common = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    files = [Path(folder, "pip", "pip.conf") for folder in reversed(common.split(":")) if folder]
    files.append(system)
    if not (named and Path(named).exists()):
        files += [home / ".pip" / "pip.conf", config / "pip" / "pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    if named:
        files.append(Path(named))
    parser = configparser.RawConfigParser(strict=False)
    found: dict[str, dict[str, str]] = {"global": {}, "download": {}, "install": {}}
    for file in files:
        try:
            parser.clear()
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip itself reports its broken files
        for section, values in found.items():
            if parser.has_section(section):
                values.update({key.replace("_", "-"): v for key, v in parser.items(section)})
    return found["global"] | found["download"] | found["install"]


def as_url(location: str) -> str:
    """Return a find-links or index place as a URL; pip allows plain paths."""
    return location if urlsplit(location).scheme else Path(location).expanduser().resolve().as_uri()
