"""Fixtures of the end-to-end tests: a tiny project for each test, and both kinds of sandbox."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project, poll
from tests.unit.staging import metadata, write_wheel
from tests.unit.web import Reply, Server, serve

WHEEL = "pip-26.0-py3-none-any.whl"

_PROBES = {
    "bwrap": ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"],
    "unshare": ["unshare", "-Urmnpiu", "--fork", "--kill-child", "--mount-proc", "true"],
}


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that knows the digest of the host's compiler, which takes a second to make."""
    project = Project(tmp_path_factory.mktemp("warm") / "project")
    project.add("working")
    project.doit("plan").check(0)
    return project.cache


@pytest.fixture
def project(tmp_path: Path, warm_cache: Path) -> Iterator[Project]:
    """Return an empty project. When the test ends, no process of its steps may be left."""
    made = Project(tmp_path / "project")
    shutil.copytree(warm_cache / "host", made.cache / "host")
    yield made
    try:
        poll(lambda: not made.processes(), "every process gone", 10)
    finally:
        made.end_processes()


@pytest.fixture(params=["bwrap", "unshare"])
def sandbox(request: pytest.FixtureRequest) -> str:
    """Return each kind of sandbox that this machine can make."""
    return _usable(str(request.param))


@pytest.fixture(params=["auto", pytest.param("unshare", marks=pytest.mark.slow)])
def either_sandbox(request: pytest.FixtureRequest) -> str:
    """Return the kind that builds use here, and the other one in the slow run."""
    return _usable(str(request.param))


def _usable(kind: str) -> str:
    if kind == "auto":
        return kind
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed")
    if subprocess.run(_PROBES[kind], capture_output=True).returncode:
        pytest.skip(f"{kind} cannot make namespaces here")
    return kind


@pytest.fixture
def web() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def index(web: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a machine whose index has one small wheel, called pip."""
    described = metadata("pip", "26.0")
    place = tmp_path_factory.mktemp("index") / WHEEL
    write_wheel(
        place,
        {
            "pip/__init__.py": b"",
            "pip-26.0.dist-info/METADATA": described,
            "pip-26.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
            b"Tag: py3-none-any\n",
        },
    )
    body = place.read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    link = f'<a href="/{WHEEL}#sha256={sha256}" data-dist-info-metadata="true">{WHEEL}</a>'
    page = f"<!DOCTYPE html><html><body>{link}</body></html>".encode()
    web.add("/simple/pip/", Reply(page, content_type="text/html"))
    web.add(f"/{WHEEL}", Reply(body))
    web.add(f"/{WHEEL}.metadata", Reply(described))
    return {"UV_DEFAULT_INDEX": f"{web.url}/simple/", "NO_PROXY": "127.0.0.1"}
