"""Fixtures of the unit tests: a project on disk, a cache, a web server, a machine of its own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from strixforge.sources import Site
from strixforge.sources.cache import Cache
from tests.unit.debian_archive import Keys, key_store
from tests.unit.home import Home
from tests.unit.web import Server, serve

# The same examples each time: `doit test` must not fail by chance. Fuzzing is marked slow.
settings.register_profile("unit", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("unit")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty project."""
    return Home(tmp_path / "home")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Return an empty download cache."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def site(home: Home, cache: Cache) -> Site:
    """Return where sources of the empty project come from and go through."""
    return Site(home.root, cache)


@pytest.fixture
def web() -> Iterator[Server]:
    """Return a web server on loopback."""
    with serve() as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a machine without pip or uv configuration; returns its home folder."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_", "GIT_", "XDG_")) or name == "SSL_CERT_FILE":
            monkeypatch.delenv(name)
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return home


@pytest.fixture(scope="session")
def keys() -> Iterator[Keys]:
    """Return signing keys, made once: it takes a while."""
    if shutil.which("gpg") is None or shutil.which("gpgv") is None:
        pytest.skip("gpg is not installed")
    with key_store() as made:
        yield made
