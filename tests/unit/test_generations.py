"""What is promoted: one link that always leads to a whole generation."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.nightly.generations import (
    Generation,
    clear,
    kept,
    promote,
    promoted,
    read,
    roll_back,
)

# Each line says what is promoted, once it is. `mark` tells by which candidate a link really ends.
PROMOTER = """\
import sys
from pathlib import Path
from strixforge.nightly.generations import promote

place, first = Path(sys.argv[1]), int(sys.argv[2])
for number in range(first, int(sys.argv[3])):
    wheelhouse = place / "nights" / f"night{number}" / "wheelhouse"
    wheelhouse.mkdir(parents=True)
    (wheelhouse / "mark").write_text(f"night{number}")
    promote(place, f"night{number}")
    print(f"night{number}", flush=True)
"""
SWINGER = """\
import sys
from pathlib import Path
from strixforge.nightly.generations import clear, promote, promoted, roll_back

place = Path(sys.argv[1])
for _ in range(100_000):
    while (back := roll_back(place)) is not None:
        print(back.night, flush=True)
    clear(place)
    for name in ("b", "c"):
        print(promote(place, name).night, flush=True)
"""


def night(place: Path, name: str) -> str:
    """Make a candidate with a wheelhouse, as a night leaves it. Returns its name."""
    wheelhouse = place / "nights" / name / "wheelhouse"
    wheelhouse.mkdir(parents=True, exist_ok=True)
    (wheelhouse / "mark").write_text(name)
    return name


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the folder of a stack with three candidates, of which nothing is promoted."""
    for name in ("a", "b", "c"):
        night(tmp_path, name)
    return tmp_path


def mark(place: Path) -> str:
    """Return the candidate that people who follow the link get."""
    found = (place / "promoted/wheelhouse/mark").read_text()
    assert (place / "promoted/night/wheelhouse/mark").read_text() == found
    return found


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def test_nothing_is_promoted_at_first(place: Path) -> None:
    assert promoted(place) is None
    assert roll_back(place) is None
    assert kept(place) == set()
    clear(place)
    assert names(place) == {"nights"}


def test_a_candidate_is_promoted(place: Path) -> None:
    assert promote(place, "a") == Generation(1, "a", None)
    assert promoted(place) == read(place, 1) == Generation(1, "a", None)
    assert mark(place) == "a"
    assert names(place) == {"nights", "generations", "promoted"}
    assert names(place / "generations") == {"1"}


def test_the_next_one_remembers_what_was_promoted(place: Path) -> None:
    promote(place, "a")
    assert promote(place, "b") == promoted(place) == Generation(2, "b", 1)
    assert mark(place) == "b"
    assert (place / "promoted/previous/wheelhouse/mark").read_text() == "a"


def test_the_links_lead_on_when_the_folder_was_moved(place: Path, tmp_path: Path) -> None:
    promote(place, "a")
    promote(place, "b")
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(elsewhere)
    assert mark(elsewhere) == "b"
    assert roll_back(elsewhere) == Generation(1, "a", None)


def test_rolling_back_gives_what_was_promoted_before(place: Path) -> None:
    for name in ("a", "b", "c"):
        promote(place, name)
    assert roll_back(place) == promoted(place) == Generation(2, "b", 1)
    assert mark(place) == "b"
    assert roll_back(place) == promoted(place) == Generation(1, "a", None)
    assert mark(place) == "a"


def test_rolling_back_to_nothing_changes_nothing(place: Path) -> None:
    promote(place, "a")
    assert roll_back(place) is None
    assert promoted(place) == Generation(1, "a", None)
    assert mark(place) == "a"


def test_what_is_promoted_after_rolling_back_has_that_one_as_previous(place: Path) -> None:
    promote(place, "a")
    promote(place, "b")
    roll_back(place)
    assert promote(place, "c") == Generation(3, "c", 1)
    assert roll_back(place) == Generation(1, "a", None)


def test_the_promoted_candidate_and_the_one_before_are_kept(place: Path) -> None:
    promote(place, "a")
    assert kept(place) == {"a"}
    promote(place, "b")
    assert kept(place) == {"a", "b"}
    promote(place, "c")
    assert kept(place) == {"b", "c"}
    roll_back(place)
    assert kept(place) == {"a", "b"}


def test_clearing_removes_generations_that_nothing_goes_back_to(place: Path) -> None:
    for name in ("a", "b", "c"):
        promote(place, name)
    clear(place)
    assert names(place / "generations") == {"2", "3"}
    assert promoted(place) == Generation(3, "c", 2)
    assert roll_back(place) == Generation(2, "b", None)
    assert kept(place) == {"b"}
    assert roll_back(place) is None
    assert mark(place) == "b"


def test_clearing_after_rolling_back_removes_what_was_gone_back_from(place: Path) -> None:
    promote(place, "a")
    promote(place, "b")
    roll_back(place)
    clear(place)
    assert names(place / "generations") == {"1"}
    assert promote(place, "c") == Generation(2, "c", 1)
    assert mark(place) == "c"


def test_clearing_removes_what_killed_runs_left_and_no_candidate(place: Path) -> None:
    promote(place, "a")
    (place / ".promoted.0123").symlink_to("generations/1")
    (place / ".promoted.4567").symlink_to("generations/9")
    left = place / "generations/.0123"
    left.mkdir()
    (left / "night").symlink_to("../../nights/b")
    clear(place)
    assert names(place) == {"nights", "generations", "promoted"}
    assert names(place / "generations") == {"1"}
    assert names(place / "nights") == {"a", "b", "c"}
    assert mark(place) == "a"


def test_clearing_what_was_never_promoted_removes_it(place: Path) -> None:
    (place / "generations/1").mkdir(parents=True)
    (place / "generations/1/night").symlink_to("../../nights/a")
    clear(place)
    assert names(place / "generations") == set()
    assert promote(place, "b") == Generation(1, "b", None)


def test_a_generation_that_a_killed_run_did_not_point_to_takes_no_number_twice(
    place: Path,
) -> None:
    promote(place, "a")
    promote(place, "b")
    (place / "promoted").unlink()
    (place / "promoted").symlink_to("generations/1")
    assert promoted(place) == Generation(1, "a", None)
    assert promote(place, "c") == Generation(3, "c", 1)


@given(st.lists(st.sampled_from(["promote", "back", "clear"]), max_size=14))
def test_any_course_of_a_stack_is_that_of_a_list(
    tmp_path_factory: pytest.TempPathFactory, course: list[str]
) -> None:
    place = tmp_path_factory.mktemp("course")
    chain: list[str] = []  # what is promoted, and before it what rolling back goes to
    for number, step in enumerate(course):
        if step == "promote":
            chain.append(promote(place, night(place, f"night{number}")).night)
        elif step == "clear":
            clear(place)
            chain = chain[-2:]
        elif len(chain) > 1:
            chain.pop()
            back = roll_back(place)
            assert back is not None
            assert back.night == chain[-1]
        else:
            assert roll_back(place) is None
        now = promoted(place)
        assert (now.night if now else None) == (chain[-1] if chain else None)
        assert kept(place) == set(chain[-2:])
        assert not chain or mark(place) == chain[-1]


def whole(place: Path) -> Generation:
    """Return what is promoted, and check that all of it is there."""
    now = promoted(place)
    assert now is not None
    assert mark(place) == now.night
    assert now.previous is None or read(place, now.previous).night
    return now


def test_somebody_who_looks_sees_a_whole_generation_at_every_moment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROMOTER, str(tmp_path), "0", "300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        seen = []
        while running.poll() is None:
            assert (tmp_path / "promoted/wheelhouse/mark").read_text().startswith("night")
            now = promoted(tmp_path)
            assert now is not None
            assert now.night == f"night{now.number - 1}"
            seen.append(now.number)
    assert running.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 1
    assert whole(tmp_path) == Generation(300, "night299", 299)


def killed(code: str, delay: float, *arguments: str) -> list[str]:
    """Run a script and kill it a moment after its first line. Returns its lines."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        assert first
        time.sleep(delay)
        running.kill()
        return [first.strip(), *running.stdout.read().split()]


@pytest.mark.slow
def test_whatever_promotion_is_killed_a_whole_generation_is_promoted(tmp_path: Path) -> None:
    chance = random.Random(27)
    first = 0
    for _ in range(30):
        lines = killed(PROMOTER, chance.uniform(0, 0.01), str(tmp_path), str(first), "1000000")
        now = whole(tmp_path)
        last = int(lines[-1].removeprefix("night"))
        assert now.night in (f"night{last}", f"night{last + 1}")
        assert now.previous is not None or now.night == "night0"
        first = last + 2
        night(tmp_path, f"night{first - 1}")
        if chance.random() < 0.3:
            clear(tmp_path)
            assert whole(tmp_path).night == now.night
            left = {str(one) for one in (now.number, now.previous) if one is not None}
            assert names(tmp_path / "generations") == left
            assert not list(tmp_path.glob(".promoted.*"))


@pytest.mark.slow
def test_whatever_rolling_back_is_killed_a_whole_generation_is_promoted(place: Path) -> None:
    chance = random.Random(28)
    for name in ("a", "b", "c"):
        promote(place, name)
    for _ in range(30):
        killed(SWINGER, chance.uniform(0, 0.01), str(place))
        assert whole(place).night in ("a", "b", "c")
        clear(place)
        now = whole(place)
        left = {str(one) for one in (now.number, now.previous) if one is not None}
        assert names(place / "generations") == left
