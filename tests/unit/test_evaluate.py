"""Templates in recipes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import DataError
from strixforge.model.recipe import Recipe
from strixforge.plan.evaluate import evaluate
from tests.unit.home import Home


def fill(home: Home, step: str, rest: str = "") -> Recipe:
    home.component("rocm", "needs = []", "")
    text = home.recipe("rocm").read_text().replace('"prefix"', '"toolchain"')
    home.write("recipes/rocm.toml", text)
    home.component("other")
    home.pin("tool", "1.5", source="git", url="https://x/y", commit="a" * 40)
    path = home.recipe("tool", "needs = ['rocm', 'other']", rest)
    path.write_text(path.read_text().replace("'true'", f"'''{step}'''"))
    plan = home.plan()
    return evaluate(plan.components["tool"], plan, {})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ src }} {{ build }} {{ out }}", "/strixforge/src /strixforge/build /strixforge/out"),
        ("{{ arch }}", "gfx1151"),
        ("{{ source.version }} {{ source.epoch }}", "1.5 1600000000"),
        ("{{ source.commit }}", "a" * 40),
        ("{{ rocm.prefix }} {{ rocm.version }}", "/opt/rocm 1.0"),
        ("{{ other.prefix }}", "/strixforge/deps/other"),
        ("{% if source.version == '1.5' %}yes{% else %}no{% endif %}", "yes"),
        ("${HOME} $((1 + 2)) 'a'", "${HOME} $((1 + 2)) 'a'"),
    ],
)
def test_a_template_can_name_places_source_and_needs(home: Home, template: str, text: str) -> None:
    assert fill(home, template).steps == (text,)


def test_steps_environment_and_checked_paths_are_all_filled_in(home: Home) -> None:
    rest = "env = { A = '{{ arch }}' }\n[check]\npaths = ['lib/{{ arch }}']\ncode_objects = true"
    recipe = fill(home, "true", rest)
    assert recipe.env == {"A": "gfx1151"}
    assert recipe.check.paths == ("lib/gfx1151",)
    assert recipe.check.code_objects


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "lib/../../x", "{{ src }}/x"])
def test_a_checked_path_lies_in_the_output(home: Home, path: str) -> None:
    with pytest.raises(DataError, match="is no path of the output") as caught:
        fill(home, "true", f"[check]\npaths = ['lib/ok', '{path}']")
    assert caught.value.where.endswith("tool.toml: check.paths[1]")


@pytest.mark.parametrize(
    "template",
    [
        "{{ rokm.prefix }}",
        "{{ source.comit }}",
        "{{ arch",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ arch.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ rocm }}",
        "{{ arch.upper }}",
        "{{ [1, 2] | random }}",
        "{{ lipsum() }}",
        "{{ range(3) }}",
        "{% include 'x' %}",
        "{{ '%s' % () }}",
        "{{ 'a' | nothing }}",
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        '{{ "\\u0000" }}',
    ],
)
def test_a_template_that_cannot_be_filled_in_names_the_key_and_what_there_is(
    home: Home, template: str
) -> None:
    with pytest.raises(DataError, match="cannot be filled in") as caught:
        fill(home, template)
    assert caught.value.where == f"{home.root}/recipes/tool.toml: build.steps[0]"
    assert "rocm.prefix" in caught.value.fix
    assert "source.commit" in caught.value.fix


pieces = st.lists(
    st.sampled_from(["{{", "}}", "{%", "%}", "arch", "source", ".", "|", "if", "for", "x", "in"])
    | st.sampled_from(["(", ")", "'", "1", "+", "%", "*", "join", "upper", "__class__", "set", "="])
    | st.text(max_size=2),
    max_size=12,
).map(" ".join)


@given(pieces)
def test_any_template_is_text_or_a_data_error_and_the_same_each_time(
    tmp_path_factory: pytest.TempPathFactory, template: str
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    template = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff']", "?", template)
    try:
        first = fill(home, template)
    except DataError:
        return
    plan = home.plan()
    assert evaluate(plan.components["tool"], plan, {}) == first
