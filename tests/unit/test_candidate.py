"""A candidate: which pins go with a release, and the lock that is written for it."""

import hashlib
from pathlib import Path

import pytest

from strixforge.model.errors import PolicyError, UsageError
from strixforge.model.lock import Lock, load_lock
from strixforge.model.pins import ArchivePin
from strixforge.nightly.candidate import (
    Candidate,
    followed,
    moved_pins,
    named_files,
    write_lock,
)
from strixforge.nightly.feed import Toolchain
from tests.unit.home import HASH, Home

RELEASE = "10.1.0a20260901"
ARCHIVE = Toolchain("https://index.test/rock.tar.gz", hashlib.sha256(b"x").hexdigest(), 5)


def together(home: Home, name: str, *pins: str) -> None:
    with home.lock_file.open("a") as file:
        file.write(
            f'[[together]]\nid = "{name}"\npins = {list(pins)}\nsource = "a page of {name}"\n'
        )


def moved(home: Home, release: str = RELEASE) -> dict[str, str]:
    lock = home.lock()
    return moved_pins(lock, lock.stack("main"), "rock", release)


@pytest.fixture
def rock(home: Home) -> Home:
    """Return a stack of a toolchain at 7.14.1, and a lib to choose at 1.0, 2.0 or 3.0."""
    home.pin("rock", "7.14.1")
    for version in ("1.0", "2.0", "3.0"):
        home.pin("lib", version)
    home.pin("app", "5.0")
    return home


def test_without_sets_only_the_release_moves(rock: Home) -> None:
    assert moved(rock) == {"rock": RELEASE, "lib": "1.0", "app": "5.0"}


def test_a_set_of_another_release_moves_nothing(rock: Home) -> None:
    together(rock, "old", "rock==7.*", "lib>=2")
    assert moved(rock) == {"rock": RELEASE, "lib": "1.0", "app": "5.0"}


def test_a_set_that_holds_moves_nothing(rock: Home) -> None:
    together(rock, "new", "rock==10.1.*", "lib<2", "app")
    assert moved(rock)["lib"] == "1.0"


def test_the_first_pin_of_the_lock_that_fits_takes_the_place(rock: Home) -> None:
    together(rock, "new", "rock==10.1.*", "lib>=2")
    assert moved(rock) == {"rock": RELEASE, "lib": "2.0", "app": "5.0"}
    assert moved(rock, "10.0.0")["lib"] == "1.0"


def test_a_nightly_is_not_yet_its_release(rock: Home) -> None:
    together(rock, "new", "rock>=10.1", "lib>=2")
    assert moved(rock)["lib"] == "1.0"
    assert moved(rock, "10.1.0")["lib"] == "2.0"


def test_a_pin_that_moves_takes_others_along(rock: Home) -> None:
    rock.pin("app", "6.0")
    together(rock, "apps", "lib==3.*", "app>=6")
    together(rock, "new", "rock==10.1.*", "lib>=3")
    assert moved(rock) == {"rock": RELEASE, "lib": "3.0", "app": "6.0"}


def test_a_set_of_components_that_the_stack_does_not_have_is_met(rock: Home) -> None:
    together(rock, "new", "rock==10.1.*", "other>=2")
    assert moved(rock) == {"rock": RELEASE, "lib": "1.0", "app": "5.0"}


def test_where_no_pin_fits_the_release_is_refused_with_the_source(rock: Home) -> None:
    together(rock, "new", "rock==10.1.*", "lib>=4")
    with pytest.raises(PolicyError) as caught:
        moved(rock)
    error = caught.value
    assert error.exit_code == 12
    assert error.what == f"no pins of the lock go with release {RELEASE}: set new."
    assert error.where == f"{rock.lock_file}: together (new)"
    assert error.cause == "It asks for lib>=4; chosen: lib 1.0.\nsource: a page of new"
    assert error.fix


def test_a_set_that_asks_for_another_release_refuses_this_one(rock: Home) -> None:
    rock.pin("rock", "7.14.0")
    together(rock, "old", "app==5.*", "rock<8")
    with pytest.raises(PolicyError, match="set old") as caught:
        moved(rock)
    assert f"rock<8; chosen: rock {RELEASE}" in caught.value.cause


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("rock==10.1.*", "lib>=2"), ("rock==10.1.*", "lib<2")),
        (("lib>=2", "app<6"), ("lib>=2", "app>=6")),
    ],
)
def test_sets_that_contradict_each_other_end_in_a_refusal(
    rock: Home, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    rock.pin("app", "6.0")
    together(rock, "start", "rock==10.1.*", "lib>=2")
    together(rock, "one", *first)
    together(rock, "two", *second)
    with pytest.raises(PolicyError, match=f"release {RELEASE}: set (start|one|two)"):
        moved(rock)


def test_another_pin_may_be_neither_the_first_nor_the_last(home: Home) -> None:
    home.pin("rock", "7.14.1")
    for version in ("1.0", "3.0", "2.0"):
        home.pin("lib", version)
    together(home, "new", "rock>=8", "lib>1", "lib<3")
    assert moved(home) == {"rock": RELEASE, "lib": "2.0"}


def test_a_set_that_another_choice_makes_moot_refuses_nothing(rock: Home) -> None:
    together(rock, "old", "lib==1.*", "rock<8")
    together(rock, "new", "rock>=8", "lib>=2")
    assert moved(rock)["lib"] == "2.0"


LOCK = f"""\
# What we build.
version = 1
default = "main"

[stack.main]
summary = "s" # short

# The toolchain, from its index.
[[stack.main.pin]]
component = "rock"
# as of summer
version = "7.14.1" # the last before 10
source = "archive"
url = "https://example.org/rock-7.14.1.tar.gz" # an archive
also = ["https://mirror.test/rock-7.14.1.tar.gz"]
sha256 = "{HASH}"
epoch = 1600000000 # its day
note = "checked by hand"

[[stack.main.pin]]
component = "rock"
version = "7.14.0"
source = "archive"
url = "https://example.org/rock-7.14.0.tar.gz"
sha256 = "{HASH}"
epoch = 1600000000

[[stack.main.pin]]
component = "lib"
version = "1.0"
source = "archive"
url = "https://example.org/lib-1.tar.gz"
sha256 = "{HASH}"
epoch = 1600000000

[[stack.main.pin]]
component = "lib"
version = "2.0" # the second
source = "archive"
url = "https://example.org/lib-2.tar.gz"
sha256 = "{HASH}"
epoch = 1600000000

[[stack.main.pin]]
component = "app"
version = "5.0"
source = "archive"
url = "https://example.org/app-5.tar.gz"
sha256 = "{HASH}"
epoch = 1600000000

[stack.other]
summary = "another"

[[stack.other.pin]]
component = "rock"
version = "7.14.1"
source = "archive"
url = "https://example.org/rock-7.14.1.tar.gz"
sha256 = "{HASH}"
epoch = 1600000000
"""


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    """Return a candidate whose project has a lock of two stacks, with comments."""
    made = Candidate(RELEASE, tmp_path / "nights" / f"{RELEASE}-0123")
    made.project.mkdir(parents=True)
    (made.project / "toolchain.lock").write_text(LOCK)
    return made


def written(candidate: Candidate, versions: dict[str, str], to: Toolchain = ARCHIVE) -> Lock:
    """Write the lock for the release, in place of the first pin of rock. Returns it, read again."""
    path = candidate.project / "toolchain.lock"
    pin = load_lock(path).stack("main").pins[0]
    assert isinstance(pin, ArchivePin)
    write_lock(candidate, "main", pin, versions, to)
    return load_lock(path)


def test_the_release_takes_the_place_of_the_pin(candidate: Candidate) -> None:
    pin = written(candidate, {"rock": RELEASE}).stack("main").pins[0]
    assert isinstance(pin, ArchivePin)
    assert (pin.component, pin.version) == ("rock", RELEASE)
    assert (pin.url, pin.sha256, pin.also) == (ARCHIVE.url, ARCHIVE.sha256, ())
    assert pin.epoch == 1_600_000_000
    assert "trusted on first use" in pin.note


def test_a_release_that_was_not_downloaded_is_pinned_without_hash(candidate: Candidate) -> None:
    lock = written(candidate, {"rock": RELEASE}, Toolchain(ARCHIVE.url))
    pin = lock.stack("main").pins[0]
    assert isinstance(pin, ArchivePin)
    assert pin.sha256 == "unresolved"


def test_other_choices_are_dropped_and_the_chosen_are_first(candidate: Candidate) -> None:
    versions = {"rock": RELEASE, "lib": "2.0", "app": "5.0"}
    stack = written(candidate, versions).stack("main")
    assert [(one.component, one.version) for one in stack.pins] == [
        ("rock", RELEASE),
        ("lib", "2.0"),
        ("app", "5.0"),
    ]
    chosen = stack.choose({}, file=candidate.project)
    assert {name: pin.version for name, pin in chosen.items()} == versions


def test_a_release_that_is_a_choice_already_is_pinned_once(candidate: Candidate) -> None:
    again = Candidate("7.14.0", candidate.folder)
    pins = written(again, {"rock": "7.14.0", "lib": "2.0", "app": "5.0"}).stack("main").pins
    assert [one.version for one in pins] == ["7.14.0", "2.0", "5.0"]
    assert isinstance(pins[0], ArchivePin)
    assert pins[0].url == ARCHIVE.url


def test_components_that_nobody_chose_keep_their_pins(candidate: Candidate) -> None:
    stack = written(candidate, {"rock": RELEASE}).stack("main")
    assert [one.version for one in stack.pins] == [RELEASE, "1.0", "2.0", "5.0"]


def test_another_stack_stays_as_it_is(candidate: Candidate) -> None:
    before = load_lock(candidate.project / "toolchain.lock").stack("other")
    assert written(candidate, {"rock": RELEASE, "lib": "2.0"}).stack("other") == before


def test_comments_and_order_of_what_stays_are_kept(candidate: Candidate) -> None:
    written(candidate, {"rock": RELEASE, "lib": "2.0"})
    text = (candidate.project / "toolchain.lock").read_text()
    head, _, _ = LOCK.partition("version = 1\n")
    _, cut, tail = LOCK.partition("[stack.other]")
    assert text.startswith(head)
    assert text.endswith(cut + tail)
    for comment in (
        'summary = "s" # short',
        "# The toolchain, from its index.\n[[stack.main.pin]]",
        f'# as of summer\nversion = "{RELEASE}" # the last before 10',
        "epoch = 1600000000 # its day",
        'version = "2.0" # the second',
    ):
        assert comment in text
    assert "checked by hand" not in text


def test_nothing_but_the_lock_is_left_in_the_project(candidate: Candidate) -> None:
    written(candidate, {"rock": RELEASE})
    assert [one.name for one in candidate.project.iterdir()] == ["toolchain.lock"]


def test_a_candidate_remembers_what_was_downloaded(candidate: Candidate) -> None:
    assert candidate.archive() is None
    candidate.keep(ARCHIVE)
    assert Candidate(RELEASE, candidate.folder).archive() == ARCHIVE
    (candidate.folder / "pin.json").write_text('{"url": "https://')
    assert candidate.archive() is None
    assert candidate.name == f"{RELEASE}-0123"


def test_a_stack_without_an_archive_of_a_toolchain_follows_nothing(home: Home) -> None:
    home.component("tool")
    with pytest.raises(UsageError) as caught:
        followed(home.plan())
    assert caught.value.what == "stack main has no toolchain that comes as an archive."
    assert caught.value.where == "stack=main"


def test_every_hash_that_the_locks_name_is_known(home: Home) -> None:
    home.pin("tool", "1.0", sha256="1" * 64)
    home.write("locks/tool.txt", f"a==1 --hash=sha256:{'2' * 64}\n# {'3' * 65} {'4' * 40}\n")
    home.write("locks/apt/tool.txt", f"{'5' * 64} a.deb\n")
    assert named_files(home.root) == {"1" * 64, "2" * 64, "5" * 64}
