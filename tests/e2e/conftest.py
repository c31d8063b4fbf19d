"""Fixtures of the end-to-end tests: a tiny project for each test, and both kinds of sandbox."""

import hashlib
import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project, poll
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
def index(web: Server) -> dict[str, str]:
    """Return the environment of a machine whose index has one small wheel, called pip."""
    metadata = "Metadata-Version: 2.1\nName: pip\nVersion: 26.0\n"
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as zipped:
        zipped.writestr("pip/__init__.py", "")
        zipped.writestr("pip-26.0.dist-info/METADATA", metadata)
        tags = "Root-Is-Purelib: true\nTag: py3-none-any\n"
        zipped.writestr("pip-26.0.dist-info/WHEEL", f"Wheel-Version: 1.0\n{tags}")
        zipped.writestr("pip-26.0.dist-info/RECORD", "")
    sha256 = hashlib.sha256(body.getvalue()).hexdigest()
    link = f'<a href="/{WHEEL}#sha256={sha256}" data-dist-info-metadata="true">{WHEEL}</a>'
    page = f"<!DOCTYPE html><html><body>{link}</body></html>".encode()
    web.add("/simple/pip/", Reply(page, content_type="text/html"))
    web.add(f"/{WHEEL}", Reply(body.getvalue()))
    web.add(f"/{WHEEL}.metadata", Reply(metadata.encode()))
    return {"UV_DEFAULT_INDEX": f"{web.url}/simple/", "NO_PROXY": "127.0.0.1"}
