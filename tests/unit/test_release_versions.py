"""Versions of TheRock: what is newer, what kind it is, and its day."""

import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from strixforge.nightly.versions import day, kind, order, parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
KINDS = ("dev", "nightly", "rc", "stable")
RISING = [
    "6.5.0rc20250524",
    "6.5.0rc20250610",
    f"7.0.0.dev0+{COMMIT}",
    "7.0.0rc20250710",
    "7.0.0rc20250714",
    "7.0.0rc1",
    "7.0.0",
    "7.9.0rc1",
    "7.9.0rc2",
    "7.9.0rc10",
    "7.9.0",
    "7.10.0a20251024",
    "7.10.0",
    "7.14.0a20260612",
    "7.14.0",
    "7.14.1",
    "7.15.0a20260719",
    "10.0.0",
    "10.1.0a20260823",
    "10.1.0a20260901",
    "10.1.0",
    "10.1.0+local.1",
    "10.1.0.1",
]


def version(text: str) -> Version:
    found = parse(text)
    assert found is not None, text
    return found


def test_every_release_there_was_is_in_its_place() -> None:
    mixed = random.Random(1).sample(RISING, len(RISING))
    assert sorted(mixed, key=lambda text: order(version(text))) == RISING


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("7.14.1", "10.1.0a20260823"),
        ("7.0.0rc20250710", "7.0.0rc1"),
        ("7.9.0rc1", "7.9.0"),
        ("7.9.0", "7.10.0"),
        ("7.0.0rc20250710", "7.0.0a20250711"),
        ("7.0.0a20250710", "7.0.0rc20250711"),
        (f"10.1.0.dev0+{COMMIT}", "10.1.0a20260101"),
        ("10.1.0", "10.1.0+rocm7"),
    ],
)
def test_one_is_older_than_the_other(older: str, newer: str) -> None:
    assert order(version(older)) < order(version(newer))


def test_a_number_may_leave_zeros_out() -> None:
    assert order(version("10.1")) == order(version("10.1.0")) == order(version("10.1.0.0"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("7.14.1", "stable"),
        ("10.0.0+local", "stable"),
        ("7.9.0rc1", "rc"),
        ("7.9.0rc12", "rc"),
        ("7.0.0rc20250710", "nightly"),
        ("10.1.0a20260823", "nightly"),
        ("10.1.0a20260823+local", "nightly"),
        (f"10.1.0.dev0+{COMMIT}", "dev"),
    ],
)
def test_each_kind_is_known(text: str, what: str) -> None:
    assert kind(version(text)) == what


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("10.1.0a20260823", dt.date(2026, 8, 23)),
        ("7.0.0rc20250710", dt.date(2025, 7, 10)),
        ("10.1.0a20260823+local", dt.date(2026, 8, 23)),
        ("7.0.0a20240229", dt.date(2024, 2, 29)),
        ("7.0.0a20250229", None),
        ("7.0.0a20261301", None),
        ("7.9.0rc1", None),
        ("7.9.0", None),
        (f"7.9.0.dev0+{COMMIT}", None),
        ("7.9.0a1", None),
        ("7.9.0a99999999999", None),
    ],
)
def test_a_day_is_read_from_a_nightly_alone(text: str, date: dt.date | None) -> None:
    assert day(version(text)) == date


@pytest.mark.parametrize(
    "text", ["", "latest", "7.x", "10.1.0a20260823-tests", "ADHOCBUILD", "7..0", "7.0\x00"]
)
def test_what_is_no_version_is_none(text: str) -> None:
    assert parse(text) is None


days = st.dates(dt.date(2025, 1, 1), dt.date(2030, 12, 31)).map(lambda one: one.strftime("%Y%m%d"))
suffixes = st.one_of(
    st.just(""),
    st.integers(1, 120).map(lambda number: f"rc{number}"),
    days.map(lambda one: f"a{one}"),
    days.map(lambda one: f"rc{one}"),
    st.just(f".dev0+{COMMIT}"),
)
numbers = st.lists(st.integers(0, 12), min_size=3, max_size=4).map(lambda n: ".".join(map(str, n)))
versions = st.builds(lambda number, suffix: version(number + suffix), numbers, suffixes)


def padded(one: Version) -> tuple[int, ...]:
    return (*one.release, 0, 0)[:4]


@given(st.lists(versions, max_size=12), st.randoms(use_true_random=False))
def test_they_sort_alike_from_any_order_and_by_number_first(
    several: list[Version], chance: random.Random
) -> None:
    first = sorted(several, key=order)
    mixed = sorted(chance.sample(several, len(several)), key=order)
    assert [order(one) for one in mixed] == [order(one) for one in first]
    assert [padded(one) for one in first] == sorted(padded(one) for one in several)


@given(versions, versions)
def test_of_any_two_one_is_newer_or_they_are_one_release(one: Version, other: Version) -> None:
    assert (order(one) < order(other)) + (order(one) > order(other)) + (
        order(one) == order(other)
    ) == 1
    if order(one) == order(other):
        assert padded(one) == padded(other)
        assert (kind(one), day(one), one.local) == (kind(other), day(other), other.local)
    elif padded(one) == padded(other) and kind(one) != kind(other):
        assert (order(one) < order(other)) == (KINDS.index(kind(one)) < KINDS.index(kind(other)))


@given(versions, versions)
def test_the_day_decides_between_two_nightlies_of_a_number(one: Version, other: Version) -> None:
    first, second = day(one), day(other)
    if padded(one) == padded(other) and first and second:
        assert (order(one) < order(other)) == (first < second)


@pytest.mark.parametrize("text", ["9" * 5000, "7.0.0a" + "9" * 4400, "1." * 300])
def test_a_number_that_is_too_long_is_no_version(text: str) -> None:
    assert parse(text) is None


def test_a_post_release_is_newer() -> None:
    assert order(Version("7.14.0.post1")) > order(Version("7.14.0"))
    assert order(Version("7.14.0.post1")) < order(Version("7.14.1"))


def test_six_digits_are_no_day() -> None:
    assert kind(Version("7.0.0rc202611")) == "rc"
