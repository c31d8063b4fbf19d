"""toolchain.lock."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import DataError, UnpinnedError, UsageError
from strixforge.model.lock import Lock, load_lock
from strixforge.model.pins import (
    RESERVED,
    AptPin,
    ArchivePin,
    GitPin,
    SystemPin,
    require_pinned,
    same_version,
)
from strixforge.settings import VARIABLES
from tests.unit.home import HASH, Home, refusal, toml_file

COMMIT = "0123456789" * 4


def fault(home: Home) -> DataError:
    with pytest.raises(DataError) as caught:
        home.lock()
    assert str(home.lock_file) in caught.value.where
    return caught.value


def test_every_kind_of_source_is_read(home: Home) -> None:
    home.pin("a", source="git", url="https://example.org/a.git", commit=COMMIT, ref="v1.0")
    home.pin("b", source="archive", url="https://example.org/b.tar.gz", sha256=HASH)
    home.pin("c", source="index", name="c", sha256=HASH)
    home.pin("d", source="local", path="examples/d")
    pins = home.lock().stack("main").pins
    assert [type(pin).__name__ for pin in pins] == ["GitPin", "ArchivePin", "IndexPin", "LocalPin"]
    for pin in pins:
        require_pinned(pin, where="here")


@pytest.mark.parametrize(
    ("more", "where", "fix"),
    [
        ({"source": "gti", "url": "u"}, "pin (a).source", "Did you mean 'git'?"),
        ({"source": "git", "url": "u", "comit": "x"}, "pin (a)", "Did you mean 'commit'?"),
        ({"source": "git", "url": "u", "commit": "v1.0"}, "pin (a).commit", "40 hexadecimal"),
        ({"source": "git", "url": "u", "commit": "A" * 40}, "pin (a).commit", "40 hexadecimal"),
        ({"source": "git", "url": "--upload-pack=x"}, "pin (a).url", "address"),
        ({"source": "archive", "url": "u", "sha256": HASH}, "pin (a).url", "https"),
        ({"source": "archive", "url": "https://x/", "sha256": "abc"}, "pin (a).sha256", "64"),
        ({"source": "index", "name": "../etc", "sha256": HASH}, "pin (a).name", "project"),
        ({"source": "local", "path": 5}, "pin (a).path", ""),
        ({"version": "6.4 final"}, "pin (a).version", "6.4.4"),
        ({"version": "latest"}, "pin (a).version", "6.4.4"),
        ({"epoch": 5}, "pin (a).epoch", ""),
        ({"epoch": 10**12}, "pin (a).epoch", ""),
    ],
)
def test_a_bad_pin_names_file_key_path_and_what_could_stand_there(
    home: Home, more: dict[str, Any], where: str, fix: str
) -> None:
    home.pin("a", **more)
    error = fault(home)
    assert error.where == f"{home.lock_file}: stack.main.{where}"
    assert fix in error.fix


def test_a_pin_without_its_address_is_refused(home: Home) -> None:
    home.pin("a", source="git")
    assert fault(home).what == "missing key 'url'."


def test_an_address_that_cannot_be_parsed_is_refused(home: Home) -> None:
    home.pin("a", source="archive", url="http://[half", sha256=HASH)
    assert "not valid" in fault(home).what


@pytest.mark.parametrize("url", ["ftp://x/y", "https://x/a b", "https://x/\\u0000", "/etc/passwd"])
def test_an_archive_comes_from_the_web_or_a_file_address(home: Home, url: str) -> None:
    home.pin("a")
    text = home.lock_file.read_text().replace("'https://example.org/a-1.0.tar.gz'", f'"{url}"')
    home.lock_file.write_text(text)
    assert "address" in fault(home).fix


def test_a_version_may_be_pinned_once_only(home: Home) -> None:
    home.pin("a", "1.0")
    home.pin("a", "1.0.0")
    assert "pinned twice" in fault(home).what


def test_words_of_the_command_line_and_of_templates_are_no_component_names(home: Home) -> None:
    assert set(VARIABLES) <= RESERVED
    home.pin("source")
    assert "cannot be named 'source'" in fault(home).what


def test_stack_names_cannot_leave_the_folder_of_locks(home: Home) -> None:
    home.write("toolchain.lock", "version=1\ndefault='../x'\n[stack.'../x']\nsummary='s'\npin=[]\n")
    assert "small letters" in fault(home).fix


def test_an_unknown_default_and_an_unknown_stack_suggest_the_nearest(home: Home) -> None:
    home.pin("a")
    with pytest.raises(UsageError) as caught:
        home.lock().stack("mian")
    assert caught.value.fix == "Did you mean 'main'?"
    text = home.lock_file.read_text().replace('default = "main"', 'default = "mane"')
    home.lock_file.write_text(text)
    assert fault(home).fix == "Did you mean 'main'?"


def test_the_first_pin_holds_until_another_is_chosen(home: Home) -> None:
    home.pin("a", "2.0")
    home.pin("a", "1.0")
    stack = home.lock().stack("main")
    assert stack.choose({}, file=home.lock_file)["a"].version == "2.0"
    assert stack.choose({"a": "1.0.0"}, file=home.lock_file)["a"].version == "1.0"
    with pytest.raises(UsageError, match=r"no pin of a 3.0") as caught:
        stack.choose({"a": "3.0"}, file=home.lock_file)
    assert "2.0, 1.0" in caught.value.cause


@pytest.mark.parametrize("text", ["", "unresolved"])
def test_a_pin_without_a_hash_is_refused_when_it_is_used(text: str) -> None:
    given_hash: dict[str, Any] = {"sha256": text} if text else {}
    given_commit: dict[str, Any] = {"commit": text} if text else {}
    common: dict[str, Any] = {"component": "a", "version": "1", "epoch": 1_600_000_000}
    for pin, field in (
        (ArchivePin(url="https://x/y", **given_hash, **common), "sha256"),
        (GitPin(url="https://x/y", **given_commit, **common), "commit"),
    ):
        with pytest.raises(UnpinnedError, match=f"has no {field}") as caught:
            require_pinned(pin, where="toolchain.lock: a")
        assert caught.value.where == "toolchain.lock: a"


def test_versions_are_compared_by_pep_440_and_other_text_by_itself() -> None:
    assert same_version("1.0", "1.0.0")
    assert not same_version("1.0", "1.0.1")
    assert same_version("x y", "x y")
    assert not same_version("x y", "1.0")


plain = st.booleans() | st.integers(-5, 2**40) | st.floats() | st.text(max_size=5)
values = plain | st.sampled_from(
    ["git", "archive", "index", "local", COMMIT, HASH, "unresolved", "https://x/y", "a", "1.0"]
)
names = st.sampled_from(
    [
        *("component", "version", "epoch", "note", "source", "url", "commit", "ref"),
        *("submodules", "sha256", "name", "path"),
    ]
)
pins = st.dictionaries(names, values, max_size=9)
stacks = st.dictionaries(
    st.sampled_from(["summary", "pin", "pins"]), st.lists(pins | values, max_size=3) | values
)


@given(
    st.dictionaries(
        st.sampled_from(["version", "default", "stack", "stak"]),
        st.dictionaries(st.sampled_from(["main", "b"]), stacks | values) | values | st.just(1),
    )
)
def test_any_toml_is_a_lock_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, raw: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("lock") / "toolchain.lock"
    path.write_text(toml_file(raw))
    error = refusal(lambda: load_lock(path), DataError)
    assert error is None or (str(path) in error.where and error.what.endswith("."))


def test_the_projects_own_lock_is_valid() -> None:
    path = Path(__file__).parents[2] / "toolchain.lock"
    lock = load_lock(path)
    for stack in lock.stacks.values():
        assert stack.choose({}, file=path)


KEY = "0123456789ABCDEF0123456789ABCDEF01234567"
REPOSITORY = {"suite": "trixie", "components": ["main"], "keys": [KEY], "archive": "debian"}
ROOT = {
    "component": "trixie",
    "version": "13",
    "source": "apt",
    "repositories": ["debian"],
    "packages": ["bash", "g++", "libstdc++6"],
    "epoch": 1_600_000_000,
    "sha256": HASH,
}


def rooted(home: Home, **changes: Any) -> Lock:
    """Read a lock with a repository, a root and a stack in it; tables are changed by name."""
    stack = {"summary": "s", "pin": [], "root": "trixie"} | changes.pop("stack", {})
    repository = REPOSITORY | changes.pop("repository", {})
    top = {"version": 1, "default": "main", "stack": {"main": stack}}
    top |= {"repository": {"debian": without_none(repository)}}
    top |= {"root": [without_none(ROOT | changes.pop("root", {}))]} | changes
    home.write("toolchain.lock", toml_file(top))
    return home.lock()


def without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def refused(home: Home, **changes: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        rooted(home, **changes)
    assert caught.value.where.startswith(f"{home.lock_file}: ")
    assert caught.value.what.endswith(".")
    return caught.value


def test_a_repository_a_root_and_the_root_of_a_stack_are_read(home: Home) -> None:
    lock = rooted(home, stack={"allow-expired": "  the archive is frozen\n"})
    repository = lock.repositories["debian"]
    assert (repository.suite, repository.archive, repository.url) == ("trixie", "debian", None)
    assert repository.keys == (KEY,)
    pin = lock.root("trixie", where="here")
    assert isinstance(pin, AptPin)
    assert pin.packages == ("bash", "g++", "libstdc++6")
    assert pin.folder is None
    assert lock.stack("main").root == "trixie"
    assert lock.stack("main").allow_expired == "the archive is frozen"
    assert lock.root("host", where="here") is None
    require_pinned(pin, where="here")


def test_without_them_a_stack_is_built_on_the_host_and_accepts_nothing_expired(home: Home) -> None:
    home.pin("a")
    lock = home.lock()
    assert (lock.repositories, lock.roots) == ({}, {})
    assert (lock.stack("main").root, lock.stack("main").allow_expired) == ("host", "")


def test_a_repository_may_have_an_address_and_the_suite_slashes(home: Home) -> None:
    changes = {"archive": None, "url": "https://x.example/rocm", "suite": "noble/main"}
    changes |= {"key_url": "https://x.example/key.asc", "note": "read there"}
    repository = rooted(home, repository=changes).repositories["debian"]
    assert (repository.url, repository.suite) == ("https://x.example/rocm", "noble/main")


@pytest.mark.parametrize(
    ("changes", "where", "fix"),
    [
        ({"archive": None}, "", "either"),
        ({"url": "https://x/y"}, "", "either"),
        ({"archive": "fedora"}, ".archive", "debian"),
        ({"archive": None, "url": "ftp://x/y"}, ".url", "address"),
        ({"key_url": "/etc/passwd"}, ".key_url", "address"),
        ({"suite": "../trixie"}, ".suite", "sources.list"),
        ({"suite": "a/../../b"}, ".suite", "sources.list"),
        ({"suite": ""}, ".suite", "sources.list"),
        ({"suite": None}, "", ""),
        ({"components": []}, ".components", ""),
        ({"components": ["../x"]}, ".components[0]", "sources.list"),
        ({"components": ["main", "a b"]}, ".components[1]", "sources.list"),
        ({"keys": []}, ".keys", ""),
        ({"keys": [KEY.lower()]}, ".keys[0]", "40 hexadecimal"),
        ({"keys": [KEY[-16:]]}, ".keys[0]", "40 hexadecimal"),
        ({"keys": [KEY, KEY + "0"]}, ".keys[1]", "40 hexadecimal"),
        ({"kyes": [KEY]}, "", "keys"),
        ({"trusted": True}, "", ""),
    ],
)
def test_a_bad_repository_names_the_key_and_what_could_stand_there(
    home: Home, changes: dict[str, Any], where: str, fix: str
) -> None:
    error = refused(home, repository=changes)
    assert error.where.startswith(f"{home.lock_file}: repository.debian{where.partition('[')[0]}")
    assert fix in f"{error.what} {error.fix}"


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"repositories": ["debina"]}, ".repositories", "no repository 'debina'"),
        ({"repositories": []}, ".repositories", ""),
        ({"packages": []}, ".packages", ""),
        ({"packages": ["Bash"]}, ".packages", "form"),
        ({"packages": ["bash=5"]}, ".packages", "form"),
        ({"packages": ["--option"]}, ".packages", "form"),
        ({"packages": ["bash/sid"]}, ".packages", "form"),
        ({"packages": ["bash-"], "component": "host"}, "", "cannot be named 'host'"),
        ({"folder": "usr"}, "", "is no whole file system"),
        ({"folder": "../usr"}, ".folder", "form"),
        ({"folder": "/usr"}, ".folder", "form"),
        ({"sha256": "abc"}, ".sha256", "form"),
        ({"version": "trixie"}, ".version", "not a version"),
        ({"component": "root"}, "", "cannot be named 'root'"),
        ({"component": "Trixie"}, "", "form"),
        ({"arch": "amd64"}, "", "unknown key 'arch'"),
        ({"source": "atp"}, ".source", "'atp' is not a value"),
    ],
)
def test_a_bad_root_names_the_key_and_what_is_wrong(
    home: Home, changes: dict[str, Any], where: str, what: str
) -> None:
    error = refused(home, root=changes)
    name = changes.get("component", "trixie")
    assert error.where.startswith(f"{home.lock_file}: root ({name}){where}")
    assert what in error.what


def test_a_root_is_made_of_packages_and_has_one_version(home: Home) -> None:
    local = {"component": "trixie", "version": "13", "source": "local", "path": "x"}
    error = refused(home, root=local | dict.fromkeys(("repositories", "packages", "sha256")))
    assert "is no whole file system" in error.what
    values = {"version": 1, "default": "main", "stack": {"main": {"summary": "s", "pin": []}}}
    values |= {"repository": {"debian": REPOSITORY}}
    home.write("toolchain.lock", toml_file(values | {"root": [ROOT, ROOT]}))
    assert "trixie 13 is pinned twice" in fault(home).what


def test_a_stack_names_a_root_that_there_is(home: Home) -> None:
    error = refused(home, stack={"root": "trixe"})
    assert error.where == f"{home.lock_file}: stack.main.root"
    assert error.fix == "Did you mean 'trixie'?"
    with pytest.raises(UsageError, match="there is no root 'sid'") as caught:
        rooted(home).root("sid", where="root=sid")
    assert caught.value.where == "root=sid"
    assert "trixie" in caught.value.fix


def test_a_root_cannot_be_pinned_in_a_stack_too(home: Home) -> None:
    error = refused(home, stack={"pin": [ROOT]})
    assert "'trixie' is a root" in error.what
    assert error.where == f"{home.lock_file}: stack.main.pin (trixie)"


@pytest.mark.parametrize("stack", [{"allow-expired": True}, {"allow_expired": "x"}, {"root": 5}])
def test_a_bad_key_of_a_stack_is_refused(home: Home, stack: dict[str, Any]) -> None:
    assert refused(home, stack=stack).where.startswith(f"{home.lock_file}: stack.main")


def test_packages_and_the_roots_own_rocm_can_be_pinned_in_a_stack(home: Home) -> None:
    prefix = ROOT | {"component": "rocm", "version": "6.4.4", "folder": "opt/rocm-6.4.4"}
    system = {"component": "hip", "version": "5.7", "source": "system", "path": "/usr"}
    lock = rooted(home, stack={"pin": [prefix, system | {"epoch": 1_600_000_000}]})
    one, other = lock.stack("main").pins
    assert isinstance(one, AptPin)
    assert one.folder == "opt/rocm-6.4.4"
    assert isinstance(other, SystemPin)
    assert other.path == "/usr"
    unlocked = {key: value for key, value in prefix.items() if key != "sha256"}
    (pin,) = rooted(home, stack={"pin": [unlocked]}).stack("main").pins
    with pytest.raises(UnpinnedError, match="has no sha256"):
        require_pinned(pin, where="here")


@pytest.mark.parametrize("path", ["opt/rocm", ".", "/opt\n"])
def test_the_roots_own_rocm_has_an_absolute_path(home: Home, path: str) -> None:
    pin = {"component": "hip", "version": "5.7", "source": "system", "path": path}
    error = refused(home, stack={"pin": [pin | {"epoch": 1_600_000_000}]})
    assert error.where.endswith("pin (hip).path")


more = st.sampled_from(
    [*REPOSITORY, "url", "key_url", *ROOT, "folder", "path", "apt", "system", "debian", KEY]
)
loose = st.dictionaries(more, plain | st.lists(more, max_size=2) | more, max_size=7)


@given(
    st.dictionaries(st.sampled_from(["debian", "x.y"]), loose | plain, max_size=2),
    st.lists(loose | st.just(ROOT) | plain, max_size=2),
    st.sampled_from(["host", "trixie", "", "x"]),
)
def test_any_repositories_and_roots_are_a_lock_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, repository: Any, root: Any, name: str
) -> None:
    path = tmp_path_factory.mktemp("lock") / "toolchain.lock"
    stack = {"main": {"summary": "s", "pin": [], "root": name}}
    top = {"version": 1, "default": "main", "stack": stack}
    path.write_text(toml_file(top | {"repository": repository, "root": root}))
    error = refusal(lambda: load_lock(path), DataError)
    assert error is None or (str(path) in error.where and error.what.endswith("."))
