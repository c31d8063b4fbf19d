"""A step that wants the network does not get it, and is told what it wanted."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.project import REPOSITORY, Project

PYTHON = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip a test whose downloader this host lacks; .ci/run installs them all."""
    missing = shutil.which(tool, path="/usr/bin:/bin") is None
    return pytest.mark.skipif(missing, reason=f"{tool} is not installed")


STEPS = [
    pytest.param(
        "curl -sSfO http://sources.invalid/x.tar.gz", "sources.invalid", marks=needs("curl")
    ),
    pytest.param("curl -sSfO http://192.0.2.7/x.tar.gz", "192.0.2.7", marks=needs("curl")),
    pytest.param("git clone https://git.invalid/x.git", "git.invalid", marks=needs("git")),
    pytest.param(
        "git clone git://192.0.2.7/x.git", "192.0.2.7", marks=[needs("git"), pytest.mark.slow]
    ),
    pytest.param(
        f"{PYTHON} -c 'import urllib.request as u; u.urlopen(\"http://192.0.2.7/x\")'", "192.0.2.7"
    ),
    pytest.param(
        f"{PYTHON} -c 'import socket; socket.getaddrinfo(\"models.invalid\", 443)'",
        "models.invalid",
    ),
    pytest.param(
        f"env -u PIP_NO_INDEX {PYTHON} -m pip download --retries 0"
        " --index-url http://index.invalid/simple something",
        "index.invalid",
        marks=pytest.mark.slow,
    ),
    pytest.param(f"{PYTHON} -m pip download something", "something"),
]


@pytest.mark.parametrize(("step", "host"), STEPS)
def test_a_step_that_downloads_is_told_component_step_and_host(
    project: Project, either_sandbox: str, step: str, host: str
) -> None:
    project.add("toucher", "true", step)
    text = project.doit(f"sandbox={either_sandbox}", "build_toucher").check(
        20, "Build wanted the network", "a step of toucher failed", "toucher, step 2 of 2: "
    )
    assert host in text[text.index("  where:") :].replace(step[:120], "")


def test_a_lookup_of_a_step_that_ended_well_does_not_hide_a_later_error(project: Project) -> None:
    lookup = f"{PYTHON} -c 'import socket; socket.getaddrinfo(\"phone.invalid\", 443)' || true"
    project.add("chatty", lookup, "echo 'x.c:1: error: of its own' >&2; exit 3")
    project.doit("build_chatty").check(19, "x.c:1: error: of its own", "phone.invalid")


def test_a_lookup_alone_fails_nothing(project: Project) -> None:
    lookup = f"{PYTHON} -c 'import socket; socket.getaddrinfo(\"phone.invalid\", 443)' || true"
    project.add("chatty", lookup, "cp -r . {{ out }}")
    project.doit("build_chatty").check(0)


def test_looking_up_the_own_name_is_not_the_network(project: Project, either_sandbox: str) -> None:
    names = '(socket.gethostname(), "localhost")'
    step = f"{PYTHON} -c 'import socket; [socket.gethostbyname(name) for name in {names}]'"
    project.add("modest", step, "exit 3")
    project.doit(f"sandbox={either_sandbox}", "build_modest").check(19, "step 2 of 2")


def test_a_server_and_its_client_in_one_step_can_talk(
    project: Project, either_sandbox: str
) -> None:
    talk = (
        'import socket, threading; s = socket.create_server(("127.0.0.1", 0));'
        'threading.Thread(target=lambda: s.accept()[0].sendall(b"hi"), daemon=True).start();'
        'c = socket.create_connection(s.getsockname()); assert c.recv(2) == b"hi"'
    )
    project.add("local", f"{PYTHON} -c '{talk}'", "cp -r . {{ out }}")
    project.doit(f"sandbox={either_sandbox}", "build_local").check(0)


@pytest.mark.slow
def test_cmakes_fetchcontent_is_told_its_host(project: Project) -> None:
    lists = (
        "cmake_minimum_required(VERSION 3.27)\nproject(x NONE)\ninclude(FetchContent)\n"
        # From git, because CMake tries a URL again for 80 seconds.
        "FetchContent_Declare(y GIT_REPOSITORY https://content.invalid/y.git GIT_TAG v1)\n"
        "FetchContent_MakeAvailable(y)\n"
    )
    project.add("fetching", "cmake -S . -B {{ build }}", files={"CMakeLists.txt": lists})
    recipe = project.home / "recipes" / "fetching.toml"
    needed = 'python = ["cmake>=3.27,<5", "ninja>=1.13"]'
    recipe.write_text(recipe.read_text().replace("[build]\n", f"[build]\n{needed}\n"))
    lock = project.home / "locks" / "tiny" / "fetching.txt"
    lock.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / "locks" / "demo" / "rocm.txt", lock)
    real_cache = f"cache={_real_cache()}"
    text = project.doit(real_cache, "build_fetching").check(20, "step 3 of 3: cmake -S")
    assert "host: content.invalid" in text


def _real_cache() -> str:
    configured = os.environ.get("XDG_CACHE_HOME", "")
    return f"{configured or Path.home() / '.cache'}/strixforge"
