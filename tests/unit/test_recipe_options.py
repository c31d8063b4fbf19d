"""What recipes can say beside steps: CMake options, imports, distributions, sources and checks."""

import shlex
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import DataError
from strixforge.model.recipe import Recipe
from strixforge.plan.evaluate import evaluate
from tests.unit.home import Home, toml


def recipe(home: Home, text: str, name: str = "tool", output: str = "prefix") -> None:
    """Pin a component with this recipe."""
    head = f'summary = "s"\nlicense = "MIT"\nverified = "source"\noutput = "{output}"\n'
    home.write(f"recipes/{name}.toml", head + text)
    if f'"{name}"' not in home.lock_file.read_text().replace("'", '"'):
        home.pin(name)


def evaluated(home: Home, text: str) -> Recipe:
    recipe(home, text)
    plan = home.plan()
    return evaluate(plan.component("tool"), plan, {})


def test_cmake_options_are_filled_in_wherever_they_are_named(home: Home) -> None:
    found = evaluated(
        home,
        "[build]\ncmake = { GPU_TARGETS = '{{ arch }}', X = 'ON' }\n"
        "configure = ['cmake {{ cmake }}']\nenv = { CMAKE_ARGS = '{{ cmake }}' }\n"
        "steps = ['make {{ cmake }}']\n",
    )
    options = "-DGPU_TARGETS=gfx1151 -DX=ON"
    assert found.cmake == {"GPU_TARGETS": "gfx1151", "X": "ON"}
    assert found.configure == (f"cmake {options}",)
    assert found.env == {"CMAKE_ARGS": options}
    assert found.steps == (f"make {options}",)


# No NUL, which no command line can carry, no template, and what the tests' own TOML can write.
WORDS = st.characters(codec="utf-8", exclude_characters="\0\x7f{}%#", max_codepoint=0xFFFF)


@given(value=st.text(WORDS, max_size=20))
def test_a_shell_reads_each_option_as_one_word(value: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        written = toml({"A": value, "B": "two words"})
        found = evaluated(home, f"[build]\ncmake = {written}\nsteps = ['x {{{{ cmake }}}}']\n")
    assert shlex.split(found.steps[0]) == ["x", f"-DA={found.cmake['A']}", "-DB=two words"]


def test_without_options_the_word_stands_for_nothing(home: Home) -> None:
    assert evaluated(home, "[build]\nsteps = ['cmake {{ cmake }}']\n").steps == ("cmake ",)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        ("cmake = { A = '{{ cmake }}' }\nsteps = ['x']", "build.cmake.A"),
        ("prepare = ['{{ cmake }}']\nsteps = ['x']", "build.prepare[0]"),
        ("configure = ['{{ nothing }}']\nsteps = ['x']", "build.configure[0]"),
    ],
)
def test_a_place_that_cannot_know_it_says_so(home: Home, build: str, key: str) -> None:
    with pytest.raises(DataError, match="cannot be filled in") as caught:
        evaluated(home, f"[build]\n{build}\n")
    assert caught.value.where.endswith(f"tool.toml: {key}")


def test_an_option_with_a_type_in_its_name_is_refused(home: Home) -> None:
    with pytest.raises(DataError, match="form"):
        evaluated(home, "[build]\ncmake = { 'A:BOOL' = 'ON' }\nsteps = ['x']\n")


def test_options_are_in_the_evaluated_recipe_and_so_in_the_key(home: Home) -> None:
    on = evaluated(home, "[build]\ncmake = { A = 'ON' }\nsteps = ['x']\n")
    off = evaluated(home, "[build]\ncmake = { A = 'OFF' }\nsteps = ['x']\n")
    assert on != off


def test_an_import_is_a_needed_wheel(home: Home) -> None:
    recipe(home, "[build]\nsteps = ['x']\n", "kit", "wheel")
    recipe(home, "needs = ['kit']\n[build]\nimports = ['kit']\nsteps = ['x']\n")
    assert home.plan().component("tool").recipe.build.imports == ("kit",)


@pytest.mark.parametrize("name", ["kit", "lib", "nobody"])
def test_an_import_that_is_not_needed_or_no_wheel_is_refused(home: Home, name: str) -> None:
    recipe(home, "[build]\nsteps = ['x']\n", "kit", "wheel")
    recipe(home, "[build]\nsteps = ['x']\n", "lib", "prefix")
    recipe(home, f"needs = ['lib']\n[build]\nimports = ['{name}']\nsteps = ['x']\n")
    with pytest.raises(DataError, match=f"imports '{name}', which is no wheel") as caught:
        home.plan()
    assert caught.value.where.endswith("tool.toml: build.imports")


def test_an_import_of_a_when_is_looked_at_too(home: Home) -> None:
    recipe(home, "[build]\nsteps = ['x']\n", "kit", "wheel")
    when = "[[when]]\npins = ['tool']\nbuild.imports = ['kit']\n"
    recipe(home, f"[build]\nsteps = ['x']\n{when}")
    with pytest.raises(DataError, match="imports 'kit'"):
        home.plan()
    recipe(home, f"[build]\nsteps = ['x']\n{when}needs = ['kit']\n")
    assert home.plan().component("tool").recipe.build.imports == ("kit",)


def test_a_source_is_taken_as_it_is_and_not_shipped(home: Home) -> None:
    recipe(home, "", output="source")
    component = home.plan().component("tool")
    assert not component.is_built
    assert not component.is_shipped


def test_a_source_that_is_only_unpacked_needs_nothing(home: Home) -> None:
    recipe(home, "needs = ['kit']\n", output="source")
    with pytest.raises(DataError, match="only unpacked needs nothing"):
        home.plan()


def test_a_source_with_steps_may_need_something(home: Home) -> None:
    recipe(home, "", "kit", "source")
    recipe(home, "needs = ['kit']\n[build]\nsteps = ['x']\n", output="source")
    assert home.plan().needs("tool") == ("kit",)


@pytest.mark.parametrize(
    ("output", "text", "said"),
    [
        ("wheel", "distribution = 'Tool_X.y'\n", "tool-x-y"),
        ("wheel", "", "tool"),
        ("prefix", "", ""),
    ],
)
def test_the_distribution_is_named_as_pip_does(
    home: Home, output: str, text: str, said: str
) -> None:
    recipe(home, f"{text}[build]\nsteps = ['x']\n", output=output)
    plan = home.plan()
    assert evaluate(plan.component("tool"), plan, {}).distribution == said


@pytest.mark.parametrize("output", ["prefix", "toolchain", "source"])
def test_only_a_wheel_has_a_distribution(home: Home, output: str) -> None:
    recipe(home, "distribution = 'torch'\n[build]\nsteps = ['x']\n", output=output)
    with pytest.raises(DataError, match="only a wheel has a distribution"):
        home.plan()


SOURCE = "[build]\nsteps = ['x']\n[check]\nsource = [{{ {} }}]\n"


@pytest.mark.parametrize(
    ("check", "what"),
    [
        ("file = 'a', why = 'w'", "either `has` or `lacks`"),
        ("file = 'a', why = 'w', has = 'x', lacks = 'y'", "either `has` or `lacks`"),
        ("file = 'a', why = 'w', has = '(x'", "is no regular expression"),
        ("file = 'a', why = 'w', lacks = '*'", "is no regular expression"),
        ("file = 'a', has = 'x'", "missing key 'why'"),
        ("file = '/etc/passwd', why = 'w', has = 'x'", "form of this key"),
        ("file = '../x', why = 'w', has = 'x'", "form of this key"),
        ("file = 'a/../../x', why = 'w', has = 'x'", "form of this key"),
        ("file = '', why = 'w', has = 'x'", "form of this key"),
    ],
)
def test_a_check_of_the_source_that_says_nothing_is_refused(
    home: Home, check: str, what: str
) -> None:
    recipe(home, SOURCE.format(check))
    with pytest.raises(DataError) as caught:
        home.plan()
    assert what in caught.value.what
    assert "check.source[0]" in caught.value.where


def test_a_check_of_the_source_may_name_the_target(home: Home) -> None:
    text = SOURCE.format("file = 'a', why = 'w', has = 'set\\(A {{ arch }}\\)'")
    assert evaluated(home, text).check.source[0].has == r"set\(A gfx1151\)"


def test_a_check_of_the_configuration_wants_something_configured(home: Home) -> None:
    check = "[check]\nconfigure = { folder = '{{ build }}' }\n"
    recipe(home, f"[build]\nsteps = ['x']\n{check}")
    with pytest.raises(DataError, match="nothing is configured") as caught:
        home.plan()
    assert caught.value.where.endswith("tool.toml: check.configure")


def test_a_check_of_the_configuration_is_evaluated(home: Home) -> None:
    found = evaluated(
        home,
        "[build]\nconfigure = ['cmake']\nsteps = ['x']\n[check.configure]\n"
        "folder = '{{ build }}/a'\ncache = { V = '{{ source.version }}' }\n"
        "offload_arch = ['*.ninja']\n",
    ).check.configure
    assert found is not None
    assert found.folder == "/strixforge/build/a"
    assert found.cache == {"V": "1.0"}
    assert found.offload_arch == ("*.ninja",)


@pytest.mark.parametrize("output", ["prefix", "wheel"])
def test_steps_of_a_when_that_does_not_hold_are_none(home: Home, output: str) -> None:
    recipe(home, "[[when]]\npins = ['tool>=9']\nbuild.steps = ['x']\n", output=output)
    with pytest.raises(DataError, match="is made by steps"):
        home.plan()


@pytest.mark.parametrize(
    "text",
    [
        "[[when]]\npins = ['tool']\ncheck.configure = { folder = '{{ build }}' }\n",
        "[device]\nneeds = []\nbuild.steps = ['x']\ncheck.configure = { folder = '{{ build }}' }\n",
        "[check.configure]\nfolder='f'\n[[when]]\npins=['tool>=9']\nbuild.configure=['x']\n",
    ],
)
def test_no_check_of_a_configuration_is_passed_over(home: Home, text: str) -> None:
    recipe(home, f"[build]\nsteps = ['x']\n{text}")
    with pytest.raises(DataError, match="nothing is configured"):
        home.plan()
