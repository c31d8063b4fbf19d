"""`./doit lock` on pins that are open, and `lock --check` and `--move` on those that are not."""

import io
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from strixforge.opening import open_workspace
from strixforge.pinning import archive_commit
from tests.e2e.project import Project
from tests.unit.repository import Repository
from tests.unit.web import Reply, Server, closed_port


@pytest.fixture
def remote(tmp_path: Path) -> Repository:
    """Return a repository with a tag v1.0."""
    made = Repository(tmp_path / "remote")
    made.commit(**{"hello.txt": "hello\n"})
    made.git("tag", "--annotate", "--message=m", "v1.0")
    return made


def git_pin(url: str, ref: str = "v1.0", **more: str) -> dict[str, str]:
    return {"source": "git", "url": url, "ref": ref, **more}


def pins(project: Project) -> dict[str, dict[str, Any]]:
    """Return the pins of the lock, by component."""
    lock = tomllib.loads((project.home / "toolchain.lock").read_text())
    return {pin["component"]: pin for pin in lock["stack"]["tiny"]["pin"]}


def test_a_tag_becomes_the_commit_that_is_then_built(project: Project, remote: Repository) -> None:
    project.add("tool", pin=git_pin(remote.url, commit="unresolved"))
    project.doit("build_tool").check(13, "tool 1.0.0 has no commit")
    commit = remote.git("rev-parse", "HEAD")
    project.doit("lock").check(0, f"v1.0 is commit {commit}")
    assert pins(project)["tool"]["commit"] == commit
    project.doit("build_tool").check(0)
    assert (project.output("tool") / "hello.txt").read_text() == "hello\n"


def test_a_commit_that_is_pinned_is_left_alone(project: Project, remote: Repository) -> None:
    commit = remote.git("rev-parse", "HEAD")
    project.add("tool", pin=git_pin(remote.url, commit=commit))
    remote.commit(**{"hello.txt": "moved\n"})
    remote.git("tag", "--force", "v1.0")
    project.doit("lock").check(0)
    assert pins(project)["tool"]["commit"] == commit


def test_a_host_that_is_down_does_not_keep_the_others(
    project: Project, remote: Repository, web: Server
) -> None:
    away = f"http://127.0.0.1:{closed_port()}"
    project.add("away", pin=git_pin(f"{away}/x.git"))
    project.add("tool", pin=git_pin(remote.url))
    project.add("gone", pin={"source": "archive", "url": f"{web.url}/gone.tar.gz"})
    project.add("there", pin={"source": "archive", "url": web.add("/a.tar.gz", Reply(b"bytes"))})
    project.doit("lock", env={"NO_PROXY": "127.0.0.1"}).check(
        14,
        "2 of the pins and requirements could not be resolved; the rest is.",
        f"away: the repository {away}/x.git cannot be asked",
        "gone: ",
        "./doit lock",
    )
    found = pins(project)
    assert found["tool"]["commit"] == remote.git("rev-parse", "HEAD")
    assert len(found["there"]["sha256"]) == 64
    assert "commit" not in found["away"]
    assert "sha256" not in found["gone"]
    assert (project.home / "locks" / "tiny" / "wheelhouse.txt").is_file()


def test_a_pin_with_neither_commit_nor_ref_is_told(project: Project, remote: Repository) -> None:
    project.add("tool", pin=git_pin(remote.url, ref=""))
    project.doit("lock").check(14, "the pin has neither commit nor ref")


def moved(project: Project, remote: Repository) -> tuple[str, str]:
    """Lock a tag, and move it upstream. Returns both commits."""
    project.add("tool", pin=git_pin(remote.url))
    project.doit("lock").check(0)
    old = remote.git("rev-parse", "HEAD")
    new = remote.commit(**{"hello.txt": "moved\n"})
    remote.git("tag", "--force", "v1.0")
    return old, new


def test_check_says_that_nothing_moved(project: Project, remote: Repository) -> None:
    project.add("tool", pin=git_pin(remote.url))
    project.doit("lock").check(0)
    before = (project.home / "toolchain.lock").read_text()
    commit = remote.git("rev-parse", "HEAD")
    project.doit("lock", "--check").check(0, f"v1.0 is {commit}", "every pin is what it was")
    assert (project.home / "toolchain.lock").read_text() == before


def test_check_says_what_moved_and_keeps_the_pin(project: Project, remote: Repository) -> None:
    old, new = moved(project, remote)
    before = (project.home / "toolchain.lock").read_text()
    project.doit("lock", "--check").check(
        15,
        f"moved: v1.0 is commit {new} now",
        "1 of the pins of stack tiny are not as they were",
        "The old pins are kept",
        "lock --move",
    )
    assert (project.home / "toolchain.lock").read_text() == before
    assert pins(project)["tool"]["commit"] == old


def test_move_follows(project: Project, remote: Repository) -> None:
    old, new = moved(project, remote)
    project.doit("lock", "--move").check(0, f"moved to commit {new}")
    assert pins(project)["tool"]["commit"] == new != old
    project.doit("build_tool").check(0)
    assert (project.output("tool") / "hello.txt").read_text() == "moved\n"


def test_move_does_not_say_that_every_pin_is_what_it_was(
    project: Project, remote: Repository
) -> None:
    moved(project, remote)
    assert "every pin is what it was" not in project.doit("lock", "--move").check(0)


def test_check_tells_of_what_is_not_pinned_or_not_reachable(
    project: Project, remote: Repository
) -> None:
    project.add("open", pin=git_pin(remote.url))
    lost = git_pin(f"{remote.url}-gone", commit="0" * 40)
    project.add("lost", pin=lost)
    project.add("local")
    project.doit("lock", "--check").check(
        14,
        "2 of the pins of stack tiny could not be proved",
        "open 1.0.0 has no commit",
        "cannot be asked",
        "nothing to ask",
    )


def test_what_moved_is_told_before_what_is_silent(project: Project, remote: Repository) -> None:
    _, new = moved(project, remote)
    commit = pins(project)["tool"]["commit"]
    project.add("lost", pin=git_pin(f"{remote.url}-gone", commit="0" * 40))
    project.components["tool"].pin = git_pin(remote.url, commit=commit)
    project.write()
    text = project.doit("lock", "--check").check(15, f"tool: moved: v1.0 is commit {new} now")
    assert text.rindex("tool: moved") < text.rindex("lost: the repository")


def test_check_downloads_an_archive_anew(project: Project, web: Server) -> None:
    url = web.add("/a.tar.gz", Reply(b"one"))
    project.add("tool", pin={"source": "archive", "url": url})
    project.doit("lock", env={"NO_PROXY": "127.0.0.1"}).check(0, "trusted on first use")
    before = (project.home / "toolchain.lock").read_text()
    project.doit("lock", "--check", env={"NO_PROXY": "127.0.0.1"}).check(0, "archive is the same")
    web.add("/a.tar.gz", Reply(b"two"))
    project.doit("lock", "--check", env={"NO_PROXY": "127.0.0.1"}).check(
        15, "the archive of tool 1.0.0 is another one now"
    )
    assert (project.home / "toolchain.lock").read_text() == before


def test_an_archive_of_git_says_which_commit_it_is_of(
    project: Project, remote: Repository, web: Server, tmp_path: Path
) -> None:
    file = tmp_path / "a.tar.gz"
    remote.git("archive", "--format=tar.gz", "--prefix=tool-1/", f"--output={file}", "v1.0")
    url = web.add("/a.tar.gz", Reply(file.read_bytes()))
    project.add("tool", pin={"source": "archive", "url": url})
    commit = remote.git("rev-parse", "HEAD")
    project.doit("lock", env={"NO_PROXY": "127.0.0.1"}).check(0, f"was made from commit {commit}")


def zipped() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as made:
        made.writestr("a", "a")
    return body.getvalue()


def test_other_archives_say_nothing_of_a_commit(project: Project, remote: Repository) -> None:
    project.add("tool")
    ws = open_workspace(project.home, {"cache": str(project.cache)}, {"HOME": str(project.home)})
    whole = project.home / "a.tar.gz"
    remote.git("archive", "--format=tar.gz", f"--output={whole}", "v1.0")
    body = whole.read_bytes()
    commit = remote.git("rev-parse", "HEAD")
    damaged = [body[:30], body[:40] + b"\xff" * 40, b"", b"text", zipped()]
    for number, one in enumerate([body, *damaged]):
        file = ws.cache.root / "sha256" / f"{number:064x}" / "a.tar.gz"
        file.parent.mkdir(parents=True)
        file.write_bytes(one)
    assert archive_commit(ws, f"{0:064x}") == commit
    for number in range(1, len(damaged) + 2):
        assert archive_commit(ws, f"{number:064x}") == ""


def pax(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    """Return a tar whose first member is an extended header."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(body) if size is None else size
    return info.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512) + bytes(1024)


@pytest.mark.parametrize(
    "body",
    [
        pax(tarfile.XHDTYPE, b"99999999999999999999999 a=b\n"),
        pax(tarfile.XGLTYPE, b"", -512),
        pax(tarfile.XGLTYPE, b"12 comment=a")[:-1024] * 3000,
    ],
    ids=["length", "negative", "many"],
)
def test_a_header_made_to_break_says_nothing_of_a_commit(project: Project, body: bytes) -> None:
    project.add("tool")
    ws = open_workspace(project.home, {"cache": str(project.cache)}, {"HOME": str(project.home)})
    file = ws.cache.root / "sha256" / ("0" * 64) / "a.tar"
    file.parent.mkdir(parents=True)
    file.write_bytes(body)
    assert archive_commit(ws, "0" * 64) == ""


def test_an_index_file_without_a_hash_is_resolved_or_told(project: Project) -> None:
    project.add("tool", pin={"source": "index", "name": "pip"})
    done = project.doit("lock")
    assert done.code != 0 or "sha256" in pins(project)["tool"]
