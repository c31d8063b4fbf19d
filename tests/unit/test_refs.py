"""Tags, branches and first digits of commits, asked of real repositories."""

from pathlib import Path

import pytest

from strixforge.model.errors import FetchError
from strixforge.sources.refs import resolve_ref
from tests.unit.repository import Repository
from tests.unit.web import closed_port


@pytest.fixture
def remote(tmp_path: Path, machine: Path) -> Repository:
    del machine
    made = Repository(tmp_path / "remote")
    made.commit(a="1")
    return made


def test_a_light_tag(remote: Repository) -> None:
    commit = remote.git("rev-parse", "HEAD")
    remote.git("tag", "v1.0")
    remote.commit(a="2")
    assert resolve_ref(remote.url, "v1.0") == commit


def test_an_annotated_tag_is_peeled(remote: Repository) -> None:
    commit = remote.git("rev-parse", "HEAD")
    remote.git("tag", "--annotate", "--message=m", "v1.0")
    remote.git("tag", "--annotate", "--message=m", "again", "v1.0")
    assert remote.git("rev-parse", "v1.0") != commit
    assert resolve_ref(remote.url, "v1.0") == commit
    assert resolve_ref(remote.url, "again") == commit


def test_a_branch(remote: Repository) -> None:
    remote.git("switch", "--quiet", "--create", "release/3.4.x")
    commit = remote.commit(a="2")
    remote.git("switch", "--quiet", "main")
    assert resolve_ref(remote.url, "release/3.4.x") == commit
    assert resolve_ref(remote.url, "main") != commit


def test_a_tag_comes_before_a_branch_of_its_name(remote: Repository) -> None:
    commit = remote.git("rev-parse", "HEAD")
    remote.git("tag", "same")
    remote.git("branch", "other")
    remote.git("switch", "--quiet", "--create", "same")
    remote.commit(a="2")
    assert resolve_ref(remote.url, "same") == commit


def test_a_name_that_only_ends_so_is_another(remote: Repository) -> None:
    remote.git("tag", "rocm/v1.0")
    remote.git("branch", "refs/heads/v1.0")
    with pytest.raises(FetchError, match=r"neither a tag nor a branch 'v1\.0'"):
        resolve_ref(remote.url, "v1.0")


def test_a_pattern_is_no_name(remote: Repository) -> None:
    remote.git("tag", "v1.0")
    with pytest.raises(FetchError, match="neither a tag nor a branch"):
        resolve_ref(remote.url, "v1.*")


@pytest.mark.parametrize("digits", [7, 12, 40])
def test_first_digits_of_a_commit_that_no_name_points_to(remote: Repository, digits: int) -> None:
    commit = remote.commit(a="2")
    remote.commit(a="3")
    assert resolve_ref(remote.url, commit[:digits]) == commit


def test_digits_that_no_commit_begins_with(remote: Repository) -> None:
    with pytest.raises(FetchError, match="no commit that begins with 0123456") as caught:
        resolve_ref(remote.url, "0123456")
    assert caught.value.where == remote.url


def test_digits_of_a_file_are_no_commit(remote: Repository) -> None:
    blob = remote.git("rev-parse", "HEAD:a")
    with pytest.raises(FetchError, match="no commit that begins with"):
        resolve_ref(remote.url, blob)


def test_a_tag_that_moved_is_told_as_it_is_now(remote: Repository) -> None:
    remote.git("tag", "v1.0")
    before = resolve_ref(remote.url, "v1.0")
    now = remote.commit(a="2")
    remote.git("tag", "--force", "v1.0")
    assert (before == now, resolve_ref(remote.url, "v1.0")) == (False, now)


def test_no_ref_at_all(remote: Repository) -> None:
    with pytest.raises(FetchError, match="neither commit nor ref"):
        resolve_ref(remote.url, "")


@pytest.mark.parametrize("ref", ["main", "0123456"])
def test_a_repository_that_is_not_there(tmp_path: Path, machine: Path, ref: str) -> None:
    del machine
    url = (tmp_path / "nothing").as_uri()
    with pytest.raises(FetchError, match="cannot be asked") as caught:
        resolve_ref(url, ref)
    assert caught.value.where == url
    assert caught.value.cause


def test_a_host_that_is_down_keeps_the_password_to_itself(machine: Path) -> None:
    del machine
    with pytest.raises(FetchError, match="cannot be asked") as caught:
        resolve_ref(f"http://user:secret@127.0.0.1:{closed_port()}/x.git", "main")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["ext::touch {}", "--upload-pack=touch {}"])
def test_an_address_runs_nothing(tmp_path: Path, machine: Path, url: str) -> None:
    del machine
    with pytest.raises(FetchError):
        resolve_ref(url.format(tmp_path / "owned"), "main")
    assert not (tmp_path / "owned").exists()
