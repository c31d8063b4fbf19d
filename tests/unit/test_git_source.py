"""Commits of real repositories, with submodules, from a mirror that is checked and reused."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from git.exc import GitCommandError

from strixforge.model.errors import ArchiveError, FetchError, HostError, IntegrityError
from strixforge.model.pins import GitPin
from strixforge.sources import Site, kind_of
from strixforge.sources import git as source
from strixforge.sources.cache import Cache
from strixforge.sources.git import _resolve, digest, fetch, keep, missing, unpack
from tests.unit.repository import Repository


def pin(repository: Repository | str, commit: str, **more: Any) -> GitPin:
    url = repository if isinstance(repository, str) else repository.url
    common: dict[str, Any] = {"component": "tool", "version": "1.0", "epoch": 1_600_000_000}
    return GitPin(url=url, commit=commit, **common, **more)


def get(site: Site, one: GitPin) -> None:
    fetch(one, site, lambda *_: None)


def lay_out(site: Site, one: GitPin, target: Path) -> Path:
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    unpack(one, site, target)
    return target


@pytest.fixture
def remote(tmp_path: Path, machine: Path) -> Repository:
    del machine
    made = Repository(tmp_path / "remotes" / "tool")
    made.commit(readme="first")
    return made


@pytest.fixture
def family(tmp_path: Path, remote: Repository) -> tuple[Repository, str]:
    """A repository with a submodule by relative address, which has one itself."""
    leaf = Repository(tmp_path / "remotes" / "leaf")
    leaf.commit(leaf="old leaf")
    branch = Repository(tmp_path / "remotes" / "branch.git")
    branch.commit(branch="branch")
    branch.submodule("../leaf", "deep/leaf")
    branch.commit()
    remote.submodule("../branch.git", "third_party/branch")
    commit = remote.commit(readme="with submodules")
    leaf.commit(leaf="new leaf")
    branch.commit(branch="newer")
    return remote, commit


def test_the_pinned_commit_is_laid_out_whatever_the_branch_does(
    site: Site, remote: Repository, tmp_path: Path
) -> None:
    commit = remote.commit(readme="pinned", run="#!/bin/sh")
    remote.write("run", "#!/bin/sh").chmod(0o755)
    executable = remote.commit()
    remote.commit(readme="later")
    one = pin(remote, executable)
    assert missing(one, site)
    get(site, one)
    assert not missing(one, site)
    target = lay_out(site, one, tmp_path / "out")
    assert (target / "readme").read_text() == "pinned"
    assert os.access(target / "run", os.X_OK)
    assert sorted(path.name for path in target.iterdir()) == ["readme", "run"]
    assert missing(pin(remote, commit), site)
    assert digest(one, site) == f"git:{executable}"


def test_only_the_one_commit_is_fetched(site: Site, remote: Repository) -> None:
    remote.write("big", "old" * 1000)
    old = remote.commit()
    remote.git("rm", "--quiet", "big")
    new = remote.commit(readme="new")
    get(site, pin(remote, new))
    assert missing(pin(remote, old), site)
    get(site, pin(remote, old))
    assert not missing(pin(remote, old), site)
    assert not missing(pin(remote, new), site)


def test_submodules_come_at_their_recorded_commits_nested_and_by_relative_address(
    site: Site, family: tuple[Repository, str], tmp_path: Path
) -> None:
    remote, commit = family
    one = pin(remote, commit)
    get(site, one)
    target = lay_out(site, one, tmp_path / "out")
    assert (target / "third_party/branch/branch").read_text() == "branch"
    assert (target / "third_party/branch/deep/leaf/leaf").read_text() == "old leaf"
    assert not list(target.rglob(".git"))


def test_without_submodules_their_folders_stay_empty_and_the_key_says_so(
    site: Site, family: tuple[Repository, str], tmp_path: Path
) -> None:
    remote, commit = family
    one = pin(remote, commit, submodules=False)
    get(site, one)
    target = lay_out(site, one, tmp_path / "out")
    assert list((target / "third_party/branch").iterdir()) == []
    assert digest(one, site) != digest(pin(remote, commit), site)
    assert missing(pin(remote, commit), site)


def test_the_mirror_is_reused_when_every_origin_is_gone(
    site: Site, family: tuple[Repository, str], tmp_path: Path
) -> None:
    remote, commit = family
    one = pin(remote, commit)
    get(site, one)
    shutil.rmtree(remote.path.parent)
    assert not missing(one, site)
    get(site, one)
    for name in ("first", "second"):
        target = lay_out(site, one, tmp_path / name)
        assert (target / "third_party/branch/deep/leaf/leaf").read_text() == "old leaf"


@pytest.fixture
def kept(site: Site, family: tuple[Repository, str], tmp_path: Path) -> tuple[Site, GitPin]:
    """Return an empty cache beside a mirror that a commit was kept in."""
    remote, commit = family
    one = pin(remote, commit)
    cache = Cache(site.cache.root, tmp_path / "store" / "mirror")
    keep(one, cache)  # which has nothing to keep yet
    get(Site(site.home, cache), one)
    keep(one, cache)
    keep(one, cache)
    shutil.rmtree(site.cache.root)
    return Site(site.home, cache), one


def test_a_kept_commit_comes_back_when_cache_and_origins_are_gone(
    kept: tuple[Site, GitPin], family: tuple[Repository, str], tmp_path: Path
) -> None:
    site, one = kept
    shutil.rmtree(family[0].path.parent)
    assert missing(one, site)
    get(site, one)
    target = lay_out(site, one, tmp_path / "out")
    assert (target / "readme").read_text() == "with submodules"
    assert (target / "third_party/branch/deep/leaf/leaf").read_text() == "old leaf"


def test_what_a_killed_copy_left_behind_does_no_harm(
    kept: tuple[Site, GitPin], tmp_path: Path
) -> None:
    site, one = kept
    get(site, one)
    for repository in (tmp_path / "store" / "mirror" / "git").iterdir():
        shutil.rmtree(repository / "refs" / "strixforge")
        (repository / "packed-refs").unlink(missing_ok=True)
        (repository / "shallow.lock").touch()
    keep(one, site.cache)
    shutil.rmtree(site.cache.root)
    get(site, one)
    lay_out(site, one, tmp_path / "out")


def test_a_commit_that_came_without_its_ref_is_kept_all_the_same(
    site: Site, family: tuple[Repository, str], tmp_path: Path
) -> None:
    remote, commit = family
    one = pin(remote, commit)
    cache = Cache(site.cache.root, tmp_path / "store" / "mirror")
    get(Site(site.home, cache), one)
    for repository in (site.cache.root / "git").iterdir():  # as a fetch that was killed leaves it
        shutil.rmtree(repository / "refs" / "strixforge")
    keep(one, cache)
    shutil.rmtree(site.cache.root)
    shutil.rmtree(remote.path.parent)
    get(Site(site.home, cache), one)


def test_a_mirror_without_room_is_no_damage(
    site: Site, remote: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pin(remote, remote.git("rev-parse", "HEAD"))
    cache = Cache(site.cache.root, tmp_path / "store" / "mirror")
    get(Site(site.home, cache), one)

    def full(*_: object) -> None:
        raise GitCommandError("fetch", 128, b"fatal: write error: No space left on device")

    monkeypatch.setattr(source, "_copy", full)
    with pytest.raises(HostError, match="could not be copied into the store's mirror") as caught:
        keep(one, cache)
    assert "No space left" in caught.value.cause


def test_a_damaged_mirror_is_passed_over_and_the_origin_asked(
    kept: tuple[Site, GitPin], tmp_path: Path
) -> None:
    site, one = kept
    for path in (tmp_path / "store" / "mirror").rglob("objects/**/*"):
        if path.is_file() and path.suffix not in (".idx", ".rev"):
            path.chmod(0o644)
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(bytes(data))
    get(site, one)
    lay_out(site, one, tmp_path / "out")


def objects(site: Site) -> list[Path]:
    found = (path for path in site.cache.root.glob("git/*/objects/**/*") if path.is_file())
    return sorted(path for path in found if path.suffix not in (".idx", ".rev"))


@pytest.mark.parametrize("files", [1, 150])  # loose objects, and a pack
def test_one_changed_byte_in_the_mirror_is_refused_and_the_printed_cure_heals_it(
    site: Site, remote: Repository, tmp_path: Path, files: int
) -> None:
    commit = remote.commit(**{f"file{number}": f"{number}" * 500 for number in range(files)})
    one = pin(remote, commit)
    get(site, one)
    found = objects(site)
    assert {path.suffix for path in found} == ({".pack"} if files > 100 else {""})
    (mirror,) = (path for path in (site.cache.root / "git").iterdir())
    for path in found:
        whole = path.read_bytes()
        path.chmod(0o644)
        place = len(whole) // 2
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(
            IntegrityError, match=r"tool 1.0: the git mirror .* is damaged"
        ) as caught:
            lay_out(site, one, tmp_path / "out")
        assert caught.value.where == str(mirror)
        assert caught.value.fix == f"rm -rf '{mirror}' && ./doit fetch"
        path.write_bytes(whole)
    lay_out(site, one, tmp_path / "out")
    found[0].write_bytes(b"")
    shutil.rmtree(mirror)
    get(site, one)
    assert (lay_out(site, one, tmp_path / "out") / "file0").read_text() == "0" * 500


def test_a_lost_object_of_the_mirror_is_noticed_and_the_printed_cure_heals_it(
    site: Site, remote: Repository, tmp_path: Path
) -> None:
    one = pin(remote, remote.commit(readme="x"))
    get(site, one)
    (mirror,) = (site.cache.root / "git").iterdir()
    for path in objects(site):
        content = path.read_bytes()
        path.unlink()
        assert missing(one, site)
        with pytest.raises(IntegrityError, match="is damaged"):
            lay_out(site, one, tmp_path / "out")
        path.write_bytes(content)
    blob = remote.git("rev-parse", "HEAD:readme")
    (mirror / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(IntegrityError) as caught:
        get(site, one)
    assert caught.value.fix == f"rm -rf '{mirror}' && ./doit fetch"
    shutil.rmtree(mirror)
    get(site, one)
    lay_out(site, one, tmp_path / "out")


def test_what_a_killed_git_left_behind_does_no_harm(
    site: Site, remote: Repository, tmp_path: Path
) -> None:
    first, second = remote.commit(readme="1"), remote.commit(readme="2")
    get(site, pin(remote, first))
    (mirror,) = (site.cache.root / "git").iterdir()
    for name in ("shallow.lock", "config.lock", "HEAD.lock", f"refs/strixforge/{second}.lock"):
        (mirror / name).touch()
    get(site, pin(remote, second))
    assert (lay_out(site, pin(remote, second), tmp_path / "out") / "readme").read_text() == "2"


def test_a_mirror_that_was_only_begun_is_made_anew(
    site: Site, remote: Repository, tmp_path: Path
) -> None:
    one = pin(remote, remote.commit(readme="x"))
    get(site, one)
    (mirror,) = (site.cache.root / "git").iterdir()
    shutil.rmtree(mirror)
    mirror.mkdir()
    (mirror / "config.lock").touch()
    assert missing(one, site)
    get(site, one)
    lay_out(site, one, tmp_path / "out")
    shutil.rmtree(mirror)
    mirror.mkdir()
    (mirror / "objects").write_text("not a folder")
    with pytest.raises(FetchError, match="could not make a mirror") as caught:
        get(site, one)
    assert caught.value.fix == f"rm -rf '{mirror}' && ./doit fetch"


def test_two_fetches_at_once_of_one_repository_both_succeed(
    site: Site, family: tuple[Repository, str], tmp_path: Path
) -> None:
    remote, commit = family
    one = pin(remote, commit)
    sites = [Site(site.home, Cache(site.cache.root)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(get, other, one) for other in sites]:
            done.result()
    lay_out(site, one, tmp_path / "out")


def test_without_git_the_cure_is_named(
    remote: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pin(remote, "1" * 40)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="git is not installed") as caught:
        kind_of(one)
    assert caught.value.fix == "apt install git"


def test_an_empty_cache_says_what_to_type(site: Site, remote: Repository, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="not in the download cache") as caught:
        lay_out(site, pin(remote, "0" * 40), tmp_path / "out")
    assert caught.value.fix == "./doit fetch"


def test_a_commit_that_is_nowhere_and_a_repository_that_is_nowhere_are_told_apart(
    site: Site, remote: Repository, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match=r"tool 1\.0") as caught:
        get(site, pin(remote, "1" * 40))
    assert "no commit" in caught.value.what
    assert "pin" in caught.value.fix
    with pytest.raises(FetchError, match="could not fetch 111111111111") as caught:
        get(site, pin((tmp_path / "nowhere").as_uri(), "1" * 40))
    assert caught.value.where == (tmp_path / "nowhere").as_uri()


def test_a_server_that_gives_no_single_commits_is_asked_for_all(
    site: Site, remote: Repository, tmp_path: Path
) -> None:
    old = remote.commit(readme="old")
    remote.commit(readme="new")
    remote.git("config", "uploadpack.allowAnySHA1InWant", "false")
    remote.git("config", "protocol.version", "0")
    one = pin(remote, old)
    get(site, one)
    assert (lay_out(site, one, tmp_path / "out") / "readme").read_text() == "old"


def test_an_address_that_runs_commands_is_refused(site: Site, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with pytest.raises(FetchError):
        get(site, pin(f"ext::touch {marker}", "1" * 40))
    assert not marker.exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../x"])
def test_a_link_that_leads_out_of_the_source_is_refused(
    site: Site, remote: Repository, tmp_path: Path, target: str
) -> None:
    (remote.path / "link").symlink_to(target)
    one = pin(remote, remote.commit())
    get(site, one)
    with pytest.raises(ArchiveError, match="'link'"):
        lay_out(site, one, tmp_path / "out")


def test_a_submodule_may_lead_into_its_parent_but_not_out_of_the_source(
    site: Site, remote: Repository, tmp_path: Path
) -> None:
    child = Repository(tmp_path / "remotes" / "child")
    (child.path / "up").symlink_to("../readme")
    child.commit()
    remote.submodule("../child", "child")
    one = pin(remote, remote.commit(readme="parent"))
    get(site, one)
    assert (lay_out(site, one, tmp_path / "out") / "child/up").read_text() == "parent"


def test_a_submodule_without_an_address_is_left_empty_as_git_does(
    site: Site, family: tuple[Repository, str], tmp_path: Path
) -> None:
    remote, _ = family
    for text in (None, "[broken"):
        if text is None:
            remote.git("rm", "--quiet", "--cached", ".gitmodules")
            (remote.path / ".gitmodules").unlink()
        else:
            remote.write(".gitmodules", text)
        one = pin(remote, remote.commit())
        get(site, one)
        assert not missing(one, site)
        target = lay_out(site, one, tmp_path / "out")
        assert list((target / "third_party/branch").iterdir()) == []


def test_a_submodule_that_cannot_be_fetched_names_its_path(
    site: Site, family: tuple[Repository, str]
) -> None:
    remote, commit = family
    shutil.rmtree(remote.path.parent / "leaf")
    with pytest.raises(FetchError, match=r"tool 1.0: third_party/branch: deep/leaf"):
        get(site, pin(remote, commit))


def test_a_file_beside_a_submodule_is_not_taken_for_our_own(
    site: Site, family: tuple[Repository, str], tmp_path: Path
) -> None:
    remote, _ = family
    remote.write("third_party/branch.index", "ours")
    one = pin(remote, remote.commit())
    get(site, one)
    target = lay_out(site, one, tmp_path / "out")
    assert (target / "third_party/branch.index").read_text() == "ours"


def test_the_users_configuration_and_attributes_do_not_change_the_source(
    site: Site, remote: Repository, tmp_path: Path, machine: Path
) -> None:
    one = pin(remote, remote.commit(readme="a\nb\n$Id$\n"))
    hook = machine / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {machine}/ran\n")
    hook.chmod(0o755)
    (machine / "template/info").mkdir()
    (machine / "template/info/attributes").write_text("* text eol=crlf ident\n")
    (machine / ".gitconfig").write_text(
        f"[core]\nautocrlf = true\neol = crlf\n[init]\ntemplateDir = {machine}/template\n"
        '[filter "x"]\nsmudge = rev\n'
    )
    (machine / ".config/git").mkdir(parents=True)
    (machine / ".config/git/attributes").write_text("* text eol=crlf ident filter=x\n")
    get(site, one)
    assert (lay_out(site, one, tmp_path / "out") / "readme").read_bytes() == b"a\nb\n$Id$\n"
    assert not (machine / "ran").exists()


def test_variables_of_a_git_hook_do_not_lead_to_another_repository(
    site: Site, remote: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository(tmp_path / "other")
    other.commit(other="other")
    one = pin(remote, remote.commit(readme="right"))
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git" / "index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.path / ".git" / "objects"))
    before = sorted((other.path / ".git").rglob("*"))
    get(site, one)
    assert (lay_out(site, one, tmp_path / "out") / "readme").read_text() == "right"
    assert sorted((other.path / ".git").rglob("*")) == before


@pytest.mark.parametrize(
    ("base", "url", "resolved"),
    [
        ("https://a.example/x/y.git", "https://b.example/z", "https://b.example/z"),
        ("https://a.example/x/y.git", "../z.git", "https://a.example/x/z.git"),
        ("https://a.example/x/y.git/", "../z.git", "https://a.example/x/z.git"),
        ("https://a.example/x/y.git", "../../w/z.git", "https://a.example/w/z.git"),
        ("https://a.example/x/y.git", "./z", "https://a.example/x/y.git/z"),
        ("git@a.example:x/y.git", "../z.git", "git@a.example:x/z.git"),
        ("git@a.example:x/y.git", "../../w/z.git", "git@a.example:w/z.git"),
        ("file:///srv/x", "../z", "file:///srv/z"),
        ("/srv/x", "../z", "/srv/z"),
    ],
)
def test_relative_addresses_are_resolved_as_git_does(base: str, url: str, resolved: str) -> None:
    assert _resolve(base, url) == resolved
