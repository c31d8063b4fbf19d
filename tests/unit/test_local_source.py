"""Folders of this repository: what git tracks, as it is in the work tree."""

import os
from pathlib import Path

import pytest

from strixforge.model.errors import DataError
from strixforge.model.pins import LocalPin
from strixforge.sources import Site
from strixforge.sources.cache import Cache
from strixforge.sources.local import digest, fetch, missing, unpack
from tests.unit.repository import Repository

PIN = LocalPin(component="tool", version="1.0", epoch=1_600_000_000, path="src/tool")


@pytest.fixture
def here(tmp_path: Path, machine: Path) -> Repository:
    del machine
    made = Repository(tmp_path / "project")
    made.write("src/tool/a.txt", "a")
    made.write("src/tool/sub/run", "#!/bin/sh\n").chmod(0o755)
    (made.path / "src/tool/link").symlink_to("a.txt")
    made.write("src/other/b.txt", "b")
    made.commit()
    return made


def site_of(home: Path) -> Site:
    return Site(home, Cache(home / "cache"))


def test_tracked_files_are_laid_out_as_they_are_now(
    here: Repository, cache: Cache, tmp_path: Path
) -> None:
    site = Site(here.path, cache)
    here.write("src/tool/a.txt", "changed, not committed")
    here.write("src/tool/untracked", "x")
    here.write("src/tool/sub/__pycache__/x.pyc", "x")
    assert not missing(PIN, site)
    fetch(PIN, site, lambda *_: None)
    target = tmp_path / "out"
    target.mkdir()
    unpack(PIN, site, target)
    found = {str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir()}
    assert found == {"a.txt", "sub/run", "link"}
    assert (target / "a.txt").read_text() == "changed, not committed"
    assert os.access(target / "sub/run", os.X_OK)
    assert (target / "link").is_symlink()
    assert not cache.root.exists()


def test_content_names_links_and_executable_bits_count(here: Repository) -> None:
    seen = {digest(PIN, site_of(here.path))}

    def is_new() -> bool:
        before = len(seen)
        seen.add(digest(PIN, site_of(here.path)))
        return len(seen) == before + 1

    here.write("src/tool/a.txt", "b")
    assert is_new()
    (here.path / "src/tool/a.txt").chmod(0o755)
    assert is_new()
    here.git("mv", "src/tool/a.txt", "src/tool/c.txt")
    assert is_new()
    (here.path / "src/tool/link").unlink()
    assert is_new()
    (here.path / "src/tool/link").symlink_to("c.txt")
    assert is_new()
    here.write("src/tool/new", "new")
    here.git("add", "--all")
    assert is_new()


def test_times_other_modes_untracked_files_and_neighbours_do_not_count(here: Repository) -> None:
    before = digest(PIN, site_of(here.path))
    path = here.path / "src/tool/a.txt"
    os.utime(path, (1, 1))
    path.chmod(0o640)
    here.write("src/tool/untracked", "x")
    here.write("src/other/b.txt", "changed")
    here.commit()
    here.git("rm", "--quiet", "--cached", "src/tool/untracked")
    assert digest(PIN, site_of(here.path)) == before
    here.git("checkout", "--quiet", "--detach")
    assert digest(PIN, site_of(here.path)) == before


def test_two_names_do_not_run_into_each_other(tmp_path: Path, machine: Path) -> None:
    del machine
    digests = set()
    for number, (one, other) in enumerate([("ab", "c"), ("a", "bc")]):
        made = Repository(tmp_path / str(number))
        made.write(f"src/tool/{one}", "x")
        made.write(f"src/tool/{other}", "x")
        made.commit()
        digests.add(digest(PIN, site_of(made.path)))
    assert len(digests) == 2


def fault(here: Repository, path: str) -> DataError:
    pin = LocalPin(component="tool", version="1.0", epoch=1_600_000_000, path=path)
    with pytest.raises(DataError, match=r"tool: ") as caught:
        digest(pin, site_of(here.path))
    assert caught.value.where
    assert caught.value.fix
    return caught.value


def test_a_folder_outside_absent_or_untracked_is_refused(here: Repository, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (here.path / "way").symlink_to(tmp_path / "elsewhere")
    for path in ("..", "../elsewhere", str(tmp_path / "elsewhere"), "way"):
        assert "outside this repository" in fault(here, path).what
    assert "does not exist" in fault(here, "src/none").what
    here.write("src/new/file", "x")
    assert "git tracks no file" in fault(here, "src/new").what
    assert fault(here, "src/new").fix == "git add 'src/new'"


def test_a_folder_that_is_no_repository_says_what_git_says(tmp_path: Path, machine: Path) -> None:
    del machine
    (tmp_path / "plain/src/tool").mkdir(parents=True)
    with pytest.raises(DataError, match="git tracks no file") as caught:
        digest(PIN, site_of(tmp_path / "plain"))
    assert "not a git repository" in caught.value.cause


def test_a_submodule_in_a_local_source_is_refused(here: Repository, tmp_path: Path) -> None:
    child = Repository(tmp_path / "child")
    child.commit(file="x")
    here.submodule(child.url, "src/tool/child")
    error = fault(here, "src/tool")
    assert "'child' is a repository of its own" in error.what


def test_variables_of_a_git_hook_do_not_lead_to_another_repository(
    here: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest(PIN, site_of(here.path))
    other = Repository(tmp_path / "other")
    other.commit(file="x")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git/index"))
    assert digest(PIN, site_of(here.path)) == before
