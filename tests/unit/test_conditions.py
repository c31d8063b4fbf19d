"""Conditions on a stack's pins, and the [[when]] tables of recipes that ask them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model import conditions
from strixforge.model.errors import DataError
from strixforge.model.recipe import RawRecipe
from strixforge.model.recipe_files import load_recipe
from tests.unit.home import Home

VERSIONS = {"vllm": "0.11.0", "aotriton": "0.13b0"}


@pytest.mark.parametrize(
    ("texts", "held"),
    [
        ([], True),
        (["vllm"], True),
        (["vllm>=0.10,<0.11.1"], True),
        (["vllm>=0.11.1"], False),
        (["vllm>=0.11", "aotriton>=0.13b0"], True),
        (["vllm>=0.11", "aotriton>=0.13"], False),
        (["aotriton<0.13"], False),  # PEP 440: a pre-release is not before its own release
        (["aotriton==0.13.*"], True),
        (["pytorch"], False),
        (["pytorch<99"], False),
    ],
)
def test_all_conditions_must_hold_for_the_pins(texts: list[str], held: bool) -> None:
    assert conditions.holds(texts, VERSIONS) is held


def test_names_are_those_that_conditions_speak_of() -> None:
    assert conditions.names(["vllm>=1", "vllm<2", "rocm"]) == {"vllm", "rocm"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (">=1", "is not a specifier"),
        ("", "is not a specifier"),
        ("vllm>=newest", "is not a specifier"),
        ("vllm 1", "is not a specifier"),
        ("vllm[extra]>=1", "more than a name and versions"),
        ("vllm>=1; python_version > '3'", "more than a name and versions"),
        ("vllm @ https://example.org/x.whl", "more than a name and versions"),
    ],
)
def test_what_is_no_condition_says_why(text: str, why: str) -> None:
    assert why in conditions.unfit(text)


@given(st.text(max_size=30) | st.from_regex(r"[a-z]{1,5}[<>=!~]{1,2}[0-9a-z.*+!-]{0,8}"))
def test_a_text_is_either_refused_with_a_line_or_can_be_asked(text: str) -> None:
    reason = conditions.unfit(text)
    assert "\n" not in reason.replace(text, "")
    if not reason:
        assert len(conditions.names([text])) == 1
        assert conditions.holds([text], VERSIONS) in (True, False)


RECIPE = """\
summary = "a test"
license = "MIT"
output = "prefix"
verified = "source"
needs = ["one"]
runtime = ["a"]
host = ["git"]
[build]
python = ["cmake"]
env = { A = "1", B = "1" }
cmake = { X = "ON", Y = "ON" }
configure = ["old configure"]
steps = ["old step"]
[check]
paths = ["lib/a"]
source = [{ file = "a", has = "x", why = "w" }]
configure = { folder = "{{ build }}" }
"""
WHEN = """\
[[when]]
pins = ["tool>=2"]
needs = ["two"]
runtime = ["b"]
host = ["g++"]
build.python = ["ninja"]
build.env = { B = "2", C = "2" }
build.cmake = { Y = "OFF" }
check.paths = ["lib/b"]
check.code_objects = true
check.source = [{ file = "b", lacks = "y", why = "w" }]
"""


def joined(home: Home, text: str, **versions: str) -> RawRecipe:
    return load_recipe(home.write("recipes/tool.toml", text)).for_pins(versions)


def test_a_when_that_holds_appends_lists_and_merges_tables(home: Home) -> None:
    recipe = joined(home, RECIPE + WHEN, tool="2.1")
    assert (recipe.needs, recipe.runtime, recipe.host) == (
        ("one", "two"),
        ("a", "b"),
        ("git", "g++"),
    )
    assert recipe.build.python == ("cmake", "ninja")
    assert recipe.build.env == {"A": "1", "B": "2", "C": "2"}
    assert recipe.build.cmake == {"X": "ON", "Y": "OFF"}
    assert recipe.check.paths == ("lib/a", "lib/b")
    assert recipe.check.code_objects
    assert [one.file for one in recipe.check.source] == ["a", "b"]
    assert recipe.check.configure is not None
    assert recipe.when == ()


def test_a_when_without_steps_keeps_those_of_the_recipe(home: Home) -> None:
    build = joined(home, RECIPE + WHEN, tool="2.1").build
    assert (build.configure, build.steps) == (("old configure",), ("old step",))


def test_steps_of_a_when_stand_instead_of_the_recipes(home: Home) -> None:
    more = 'build.configure = ["new configure"]\nbuild.steps = ["one", "two"]\n'
    build = joined(home, RECIPE + WHEN + more, tool="2.1").build
    assert (build.configure, build.steps) == (("new configure",), ("one", "two"))


def test_a_when_that_does_not_hold_leaves_no_trace(home: Home) -> None:
    assert joined(home, RECIPE + WHEN, tool="1.9") == joined(home, RECIPE)


def test_the_later_of_two_that_hold_wins(home: Home) -> None:
    later = '[[when]]\npins = ["tool"]\nbuild.cmake = { Y = "LATER" }\n'
    assert joined(home, RECIPE + WHEN + later, tool="2").build.cmake["Y"] == "LATER"
    assert joined(home, RECIPE + later + WHEN, tool="2").build.cmake["Y"] == "OFF"


def test_one_pin_of_two_is_not_enough(home: Home) -> None:
    text = RECIPE + WHEN.replace('["tool>=2"]', '["tool>=2", "other"]')
    assert joined(home, text, tool="2").needs == ("one",)
    assert joined(home, text, tool="2", other="1").needs == ("one", "two")


@pytest.mark.parametrize(
    ("when", "where", "what"),
    [
        ('pins = ["tool >= "]', "when[0].pins", "is not a specifier"),
        ("pins = []", "when[0].pins", ""),
        ("needs = []", "when[0]", "missing key 'pins'"),
        ('pins = ["tool"]\nstep = ["x"]', "when[0]", "unknown key 'step'"),
        ('pins = ["tool"]\nbuild.python = ["x @ https://e/x"]', "when[0].build.python", "address"),
        ('pins = ["tool"]\nruntime = ["!"]', "when[0].runtime", "is not a requirement"),
        ('pins = ["tool"]\nhost = ["usr/bin/git"]', "when[0].host[0]", "form"),
        (
            'pins = ["tool"]\ncheck.source = [{ file = "a", why = "w" }]',
            "when[0].check.source[0]",
            "either `has` or `lacks`",
        ),
    ],
)
def test_a_bad_when_names_its_key(home: Home, when: str, where: str, what: str) -> None:
    with pytest.raises(DataError) as caught:
        joined(home, f"{RECIPE}[[when]]\n{when}\n")
    assert caught.value.where == f"{home.root / 'recipes/tool.toml'}: {where}"
    assert what in caught.value.what


def test_a_when_of_a_name_without_a_recipe_is_refused(home: Home) -> None:
    home.component("other")
    home.component("tool", rest="[[when]]\npins = ['othr>=1']")
    with pytest.raises(DataError, match="names 'othr', which has no recipe") as caught:
        home.plan()
    assert caught.value.where.endswith("recipes/tool.toml: when.pins")
    assert caught.value.fix == "Did you mean 'other'?"


def test_a_when_may_name_what_the_stack_does_not_pin(home: Home) -> None:
    home.recipe("other")
    home.component("tool", rest="[[when]]\npins = ['other']\nneeds = ['other']")
    assert home.plan().component("tool").recipe.needs == ()


def test_the_plan_joins_by_the_chosen_pins(home: Home) -> None:
    home.component("kit")
    home.component("tool", rest="[[when]]\npins = ['tool>=2']\nneeds = ['kit']")
    home.pin("tool", "2.0")
    assert home.plan().needs("tool") == ()
    assert home.plan(tool="2.0").needs("tool") == ("kit",)


def test_a_need_of_a_when_must_be_pinned(home: Home) -> None:
    home.component("tool", rest="[[when]]\npins = ['tool']\nneeds = ['kit']")
    with pytest.raises(DataError, match="tool needs 'kit', which stack main does not pin"):
        home.plan()


def test_needs_of_a_when_can_close_a_circle(home: Home) -> None:
    home.component("kit", "needs = ['tool']")
    home.component("tool", rest="[[when]]\npins = ['kit']\nneeds = ['kit']")
    with pytest.raises(DataError, match="in a circle"):
        home.plan()
