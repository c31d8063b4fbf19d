"""What packages depend on: chosen as apt chooses it, and held against apt's own."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strixforge.model.errors import FetchError
from strixforge.model.lock import load_lock
from strixforge.sources.apt import simulate
from strixforge.sources.apt.archive import Archive as Offered
from strixforge.sources.apt.closure import Alternative, Closure, closure, parse
from strixforge.sources.apt.mirrors import addresses
from strixforge.sources.apt.release import Index, read_index
from tests.unit.debian_archive import Archive, stanzas
from tests.unit.home import refusal

needs_apt = pytest.mark.skipif(not simulate.available(), reason="this machine has no apt-get")


def archive(**packages: str | dict[str, str]) -> Archive:
    """Make an archive: names (`_` for `-`) to what they depend on, or to more fields."""
    made = Archive()
    for name, fields in packages.items():
        values = {"Depends": fields} if isinstance(fields, str) else dict(fields)
        values = {key: text for key, text in values.items() if text}
        made.add(name.replace("_", "-"), values.pop("Version", "1"), form="", **stated(values))
    return made


def stated(values: dict[str, str]) -> dict[str, Any]:
    return values


def solve(*archives: Archive, wanted: str, may_leave: bool = False) -> Closure:
    indexes = [one.index(f"r{number}") for number, one in enumerate(archives)]
    return closure(Offered(indexes), wanted.split(), may_leave=may_leave)


def names(found: Closure) -> str:
    return " ".join(sorted(found.packages))


def agree(*archives: Archive, wanted: str) -> Closure:
    """Solve, and have apt confirm it where there is one."""
    found = solve(*archives, wanted=wanted)
    if simulate.available():
        indexes = [one.index(f"r{number}") for number, one in enumerate(archives)]
        assert simulate.simulate(indexes, wanted.split()) == found
    return found


def test_dependencies_are_followed_and_recommendations_are_not() -> None:
    some = archive(
        aa={"Depends": "bb, cc (>= 1)", "Recommends": "dd", "Suggests": "ee"},
        bb={"Pre_Depends": "ff"},
        **dict.fromkeys(("cc", "dd", "ee", "ff"), ""),
    )
    assert names(agree(some, wanted="aa")) == "aa bb cc ff"


@pytest.mark.parametrize(
    "versions",  # the newest last
    [
        ["1.9", "1.10~rc1", "1.10"],
        ["9.9", "1:0.5"],
        ["1.0-1~bpo1", "1.0-1", "1.0-1+b1"],
        ["1.0", "1.0+dfsg"],
        ["2.36-9+deb12u9", "2.36-9+deb12u10"],
    ],
)
def test_of_several_versions_the_newest_by_debians_order_is_taken(versions: list[str]) -> None:
    some = Archive()
    for version in reversed(versions):
        some.add("aa", version)
    assert agree(some, wanted="aa").packages == {"aa": versions[-1]}
    some.components["main"].reverse()
    assert solve(some, wanted="aa").packages == {"aa": versions[-1]}


def test_a_virtual_package_is_provided_by_its_provider() -> None:
    some = archive(aa="awk", mawk={"Provides": "awk"})
    assert names(agree(some, wanted="aa")) == "aa mawk"


def test_a_versioned_dependency_wants_a_versioned_provider_that_fits() -> None:
    some = archive(
        aa="virtual (>= 2)",
        old={"Provides": "virtual (= 1)"},
        bare={"Provides": "virtual"},
        new={"Provides": "other, virtual (= 2.5), more (= 1)"},
    )
    assert names(agree(some, wanted="aa")) == "aa new"
    with pytest.raises(FetchError, match=r"no repository of the pin has virtual\."):
        solve(archive(aa="virtual (>= 2)", bare={"Provides": "virtual"}), wanted="aa")


def test_a_real_package_comes_before_its_providers() -> None:
    some = archive(aa="bb", bb="", ab={"Provides": "bb"})
    assert names(agree(some, wanted="aa")) == "aa bb"


def test_a_provider_that_is_there_already_is_enough() -> None:
    some = archive(aa="virtual", ma={"Provides": "virtual"}, mz={"Provides": "virtual"})
    assert names(agree(some, wanted="mz aa")) == "aa mz"


def test_only_the_newest_version_of_a_provider_counts() -> None:
    some = archive(aa="virtual", ma={"Provides": "virtual"}, mb={"Provides": "virtual"})
    some.add("ma", "2")
    assert names(agree(some, wanted="aa")) == "aa mb"


def test_the_first_alternative_that_exists_is_taken_unless_one_is_there() -> None:
    some = archive(aa="none | bb | cc", bb="", cc="", dd="bb | cc", ee="cc, bb | cc")
    assert names(agree(some, wanted="aa")) == "aa bb"
    assert names(agree(some, wanted="cc dd")) == "cc dd"
    assert names(agree(some, wanted="ee")) == "cc ee"


def test_an_alternative_of_a_version_that_does_not_fit_is_passed_over() -> None:
    some = archive(aa="bb (>= 2) | cc (<< 2)", bb="", cc="")
    assert names(agree(some, wanted="aa")) == "aa cc"


def test_what_is_wanted_is_there_before_anything_is_chosen_for_it() -> None:
    some = archive(aa="virtual, cc | mm", bb={"Provides": "virtual"}, cc="", mm="", dd="")
    some.add("zz", Provides="virtual")
    assert names(agree(some, wanted="aa zz mm")) == "aa mm zz"


def test_cycles_end() -> None:
    some = archive(aa="bb", bb="cc", cc="aa, bb, cc")
    assert names(agree(some, wanted="aa")) == "aa bb cc"


def test_a_long_chain_is_followed_to_its_end() -> None:
    some = archive(**{f"p{n}": f"p{n + 1}" for n in range(250)}, p250="")
    assert len(solve(some, wanted="p0").packages) == 251


def test_an_architecture_qualifier_is_no_part_of_the_name() -> None:
    some = archive(aa="python3:any (>= 3), bb:amd64 [amd64], cc <!nocheck>")
    some.add("python3", "3.13", Multi_Arch="allowed")
    for one in ("bb", "cc"):
        some.add(one)
    assert names(solve(some, wanted="aa")) == "aa bb cc python3"
    provided = archive(aa="virtual", bb={"Provides": "virtual:amd64 (= 1)"})
    assert names(solve(provided, wanted="aa")) == "aa bb"


@pytest.mark.parametrize(
    "depends", ["none", "none | nobody", "bb (>= 2)", "bb (= 0.9) | none", "No_Name"]
)
def test_a_dependency_that_nobody_has_is_an_error_with_the_way_to_it(depends: str) -> None:
    some = archive(top="aa", aa=depends, bb="")
    with pytest.raises(FetchError, match=r"no repository of the pin has \w.*\.") as caught:
        solve(some, wanted="top")
    assert caught.value.where.startswith(f"wanted -> top -> aa -> {depends.partition(' ')[0]}")
    assert caught.value.fix
    if simulate.available() and depends.islower():
        with pytest.raises(FetchError, match="apt finds no way") as said:
            simulate.simulate([some.index()], ["top"])
        assert depends.partition(" ")[0] in said.value.where


def test_a_prefix_may_leave_dependencies_to_the_root() -> None:
    some = archive(aa="libc6 (>= 2.4), bb, zz | yy", bb="libc6")
    found = solve(some, wanted="aa", may_leave=True)
    assert names(found) == "aa bb"
    assert found.left == ("libc6", "zz | yy")


@pytest.mark.parametrize("may_leave", [False, True])
def test_a_wanted_package_that_nobody_has_is_an_error(*, may_leave: bool) -> None:
    with pytest.raises(FetchError, match="no repository of the pin has the package none"):
        solve(archive(aa=""), wanted="aa none", may_leave=may_leave)


def test_several_repositories_are_one_archive_of_which_the_newest_counts() -> None:
    one, other = archive(aa="bb", bb={"Version": "1"}), archive(bb={"Version": "2"}, cc="")
    assert agree(one, other, wanted="aa cc").packages == {"aa": "1", "bb": "2", "cc": "1"}
    assert Offered([one.index("x"), other.index("y")]).package("bb").repository == "y"
    same = [archive(aa={"X": text}).index(text) for text in ("first", "second")]
    assert Offered(same).package("aa").repository == "first"


def test_a_package_goes_into_the_lock_as_the_index_describes_it() -> None:
    some = archive(aa={"Version": "1:2.0-1"})
    (fields, content), *_ = some.components["main"]
    found = Offered([some.index("r")]).package("aa", "1:2.0-1")
    assert (found.name, found.version, found.architecture) == ("aa", "1:2.0-1", "amd64")
    assert (found.path, found.size) == (fields["Filename"], len(content))
    assert (found.sha256, found.repository) == (fields["SHA256"], "r")
    with pytest.raises(FetchError, match=r"no repository of the pin has aa 3\."):
        Offered([some.index("r")]).package("aa", "3")
    with pytest.raises(FetchError, match=r"no repository of the pin has bb\."):
        Offered([some.index("r")]).package("bb")


GOOD = archive(aa="").components["main"][0][0]


def offered(**changes: str) -> Offered:
    fields = {key: changes.get(key, text) for key, text in GOOD.items()}
    index = Archive({"main": []}).index()
    return Offered([Index(index.release, b"", {"main": stanzas([fields])})])


@pytest.mark.parametrize(
    "changes",
    [
        {"SHA256": ""},
        {"SHA256": "ABC"},
        {"Size": ""},
        {"Size": "-5"},
        {"Size": "\u00b2"},
        {"Filename": ""},
        {"Filename": "../../etc/passwd"},
        {"Filename": "pool/a b.deb"},
        {"Architecture": ""},
    ],
)
def test_a_package_that_is_not_wholly_described_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(FetchError, match="the index of tests does not describe aa wholly"):
        offered(**changes).package("aa")


@pytest.mark.parametrize("version", ["", "1_0", "a:b", "\u00e9"])
def test_a_version_that_is_none_is_a_sentence(version: str) -> None:
    with pytest.raises(FetchError, match="where the version of a package must stand"):
        assert offered(Version=version).candidate("aa") is not None
    some = archive(aa="bb (>= 1_0)", bb="")
    with pytest.raises(FetchError):
        solve(some, wanted="aa")


def test_a_field_of_dependencies_is_read_with_all_that_it_may_hold() -> None:
    text = "libc6 (>= 2.38), a2 | b2(<<1) , c-d:any ( = 1:2~x ), e+f [amd64] <!cross>,"
    assert parse(text) == [
        [Alternative("libc6", ">=", "2.38")],
        [Alternative("a2", "", ""), Alternative("b2", "<<", "1")],
        [Alternative("c-d", "=", "1:2~x")],
        [Alternative("e+f", "", "")],
    ]
    assert parse("") == []


@pytest.mark.parametrize(
    ("operator", "accepted"),
    [("<<", "0.9"), ("<=", "0.9 1"), ("=", "1"), (">=", "1 1.1"), (">>", "1.1"), ("", "0.9 1 1.1")],
)
def test_the_operators_compare_by_debians_order(operator: str, accepted: str) -> None:
    one = Alternative("a", operator, "1" if operator else "")
    assert [text for text in ("0.9", "1", "1.1") if one.accepts(text)] == accepted.split()


@given(st.text("ab (>=<|),:[]1.~\n", max_size=30))
def test_any_text_is_dependencies(text: str) -> None:
    for group in parse(text):
        for one in group:
            assert (one.operator == "") == (one.version == "")


@given(st.binary(max_size=200) | st.text("Package: Version\n,=()ab1", max_size=80).map(str.encode))
def test_any_bytes_are_packages_or_an_error_of_ours(text: bytes) -> None:
    index = Archive({"main": []}).index()
    packages = Offered([Index(index.release, b"", {"main": b"Package: aa\nVersion: 1\n" + text})])
    refusal(lambda: closure(packages, ["aa"], may_leave=True), FetchError)
    refusal(lambda: packages.package("aa"), FetchError)


NAMES = [f"p{letter}" for letter in "abcdefgh"]
constraints = st.sampled_from(["", "", " (>= 1)", " (= 2)", " (<< 2)", " (>> 1)"])
alternatives = st.tuples(st.sampled_from([*NAMES, "virtual", "nobody"]), constraints).map("".join)
groups = st.lists(alternatives, min_size=1, max_size=3).map(" | ".join)
depends = st.lists(groups, max_size=3).map(", ".join)
packages = st.fixed_dictionaries(
    {
        "Version": st.sampled_from(["1", "2"]),
        "Depends": depends,
        "Pre_Depends": st.just("") | groups,
        "Provides": st.sampled_from(["", "", "virtual", "virtual (= 2)", "pa (= 1)"]),
    }
)
archives = st.dictionaries(st.sampled_from(NAMES), packages, min_size=1, max_size=8)


def fields(some: dict[str, dict[str, str]], name: str) -> list[list[Alternative]]:
    return [*parse(some[name]["Pre_Depends"]), *parse(some[name]["Depends"])]


def satisfied(some: dict[str, dict[str, str]], chosen: dict[str, str], one: Alternative) -> bool:
    """Say it again in other words: by a chosen package itself, or by what a chosen one provides."""
    if one.name in chosen and one.accepts(chosen[one.name]):
        return True
    for name in chosen:
        for provided in parse(some[name]["Provides"]):
            if provided[0].name == one.name:
                version = provided[0].version
                if not one.operator or (version and one.accepts(version)):
                    return True
    return False


@settings(max_examples=200)
@given(archives, st.data(), st.booleans())
def test_a_closure_is_closed_reached_from_what_is_wanted_and_the_same_each_time(
    some: dict[str, dict[str, str]],
    data: st.DataObject,
    may_leave: bool,
) -> None:
    wanted = data.draw(st.lists(st.sampled_from(sorted(some)), min_size=1, unique=True))
    made = archive(**some)
    error = refusal(lambda: solve(made, wanted=" ".join(wanted), may_leave=may_leave), FetchError)
    if error is not None:
        assert not may_leave
        assert "no repository of the pin has" in error.what
        return
    found = solve(made, wanted=" ".join(wanted), may_leave=may_leave)
    chosen = found.packages
    assert set(wanted) <= set(chosen)
    assert may_leave or found.left == ()
    for name in chosen:
        assert chosen[name] == some[name]["Version"]
        for group in fields(some, name):
            text = " | ".join(one.name for one in group)
            assert any(satisfied(some, chosen, one) for one in group) or text in found.left
    reached = set(wanted)
    while new := {
        other
        for name in reached
        for group in fields(some, name)
        for one in group
        for other in set(chosen) - reached
        if satisfied(some, {other: chosen[other]}, one)
    }:
        reached |= new
    assert reached == set(chosen)


simple = st.dictionaries(
    st.sampled_from(NAMES),
    st.lists(
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(" | ".join),
        max_size=3,
        unique=True,
    ).map(", ".join),
)


@pytest.mark.slow
@needs_apt
@settings(max_examples=60)
@given(simple, st.sampled_from(NAMES))
def test_apt_chooses_the_same_where_there_is_a_way(some: dict[str, str], wanted: str) -> None:
    whole: dict[str, Any] = dict.fromkeys(NAMES, "") | some
    agree(archive(**whole), wanted=wanted)


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def trixie() -> Index:
    """The real index of Debian 13, from this machine's own mirror."""
    lock = load_lock(ROOT / "toolchain.lock")
    repository = lock.repositories["debian-trixie"]
    trouble = "it knows no mirror"
    for address in addresses("debian-trixie", repository, ()):
        try:
            return read_index("debian-trixie", repository, address, allow_expired=True)
        except FetchError as error:
            trouble = error.what
    pytest.skip(f"Debian's index cannot be read from here: {trouble}")


@pytest.mark.slow
@needs_apt
@pytest.mark.parametrize("wanted", ["hipcc", "build-essential", "the root trixie"])
def test_apt_chooses_the_same_of_the_real_debian(trixie: Index, wanted: str) -> None:
    lock = load_lock(ROOT / "toolchain.lock")
    some = lock.roots["trixie"].packages if wanted.startswith("the root") else (wanted,)
    ours = closure(Offered([trixie]), some, may_leave=False)
    theirs = simulate.simulate([trixie], some)
    assert set(ours.packages) ^ set(theirs.packages) == set()
    assert ours == theirs
    assert len(ours.packages) > 30


@needs_apt
def test_the_version_of_apt_is_told() -> None:
    said = subprocess.run(["apt-get", "--version"], capture_output=True, text=True).stdout
    assert said.startswith(simulate.version())
    assert simulate.version().startswith("apt ")
