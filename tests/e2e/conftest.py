"""Fixtures of the end-to-end tests: a tiny project for each test, and both kinds of sandbox."""

import hashlib
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project, poll
from tests.unit.staging import write_wheel
from tests.unit.tiny import real_pip
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


@pytest.fixture(scope="session")
def pip_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the pip that comes with this Python, as if it were as new as wheelhouses want it."""
    place = tmp_path_factory.mktemp("index") / WHEEL
    info = WHEEL.removesuffix("-py3-none-any.whl") + ".dist-info"
    with zipfile.ZipFile(real_pip()) as archive:
        files = {
            re.sub(r"^pip-[^/]*\.dist-info", info, name): archive.read(name)
            for name in archive.namelist()
            if not name.endswith(("RECORD", "/"))
        }
    described = files[f"{info}/METADATA"]
    files[f"{info}/METADATA"] = re.sub(rb"(?m)^Version: .*$", b"Version: 26.0", described, count=1)
    write_wheel(place, files)
    return place


@pytest.fixture
def index(web: Server, pip_wheel: Path) -> dict[str, str]:
    """Return the environment of a machine whose index has one wheel, pip."""
    with zipfile.ZipFile(pip_wheel) as archive:
        described = archive.read("pip-26.0.dist-info/METADATA")
    body = pip_wheel.read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    link = f'<a href="/{WHEEL}#sha256={sha256}" data-dist-info-metadata="true">{WHEEL}</a>'
    page = f"<!DOCTYPE html><html><body>{link}</body></html>".encode()
    web.add("/simple/pip/", Reply(page, content_type="text/html"))
    web.add(f"/{WHEEL}", Reply(body))
    web.add(f"/{WHEEL}.metadata", Reply(described))
    return {"UV_DEFAULT_INDEX": f"{web.url}/simple/", "NO_PROXY": "127.0.0.1"}
