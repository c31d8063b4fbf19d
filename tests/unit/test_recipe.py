"""recipes/<component>.toml, as written."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import DataError
from strixforge.model.recipe_files import load_recipe, recipe_file
from tests.unit.home import Home, refusal, toml_file


def fault(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        load_recipe(path)
    assert caught.value.where.startswith(f"{path}: ")
    return caught.value


@pytest.mark.parametrize(
    ("top", "rest", "where", "fix"),
    [
        ("licence = 'x'", "", "top level", "Did you mean 'license'?"),
        ("[bild]\nsteps = ['x']", "", "top level", "Did you mean 'build'?"),
        ("jobs = { memory = '2 GB' }", "", "jobs.memory", "such as 2 GiB"),
        ("jobs = { memory = '0 GiB' }", "", "jobs.memory", "such as 2 GiB"),
        ("needs = ['Rocm']", "", "needs[0]", "small letters"),
        ("runtime = ['numpy >= x']", "", "runtime", "specifier"),
        ("runtime = ['numpy @ https://example.org/n.whl']", "", "runtime", "specifier"),
        ("without = ['numpy >= x']", "", "without", "specifier"),
        ("without = ['numpy>=2']", "", "without", "ray[cgraph]"),
        ("without = ['numpy; os_name == \"nt\"']", "", "without", "ray[cgraph]"),
        ("", "[[when]]\npins = ['tool>=1']\nwithout = ['x<2']", "when[0].without", "cupy"),
        ("", "python = ['cmake >= = 3']", "build.python", "specifier"),
        ("", "env = { 'A B' = 'x' }", "build.env", "variable"),
        ("", "[check]\npath = ['x']", "check", "Did you mean 'paths'?"),
        ("", "[check]\ncode_objects = 'yes'", "check.code_objects", ""),
    ],
)
def test_a_fault_names_file_key_path_and_what_could_stand_there(
    home: Home, top: str, rest: str, where: str, fix: str
) -> None:
    error = fault(home.recipe("tool", top, rest))
    assert error.where.endswith(f"tool.toml: {where}")
    assert fix in error.fix


def test_output_and_verified_are_chosen_from_lists(home: Home) -> None:
    path = home.recipe("tool")
    path.write_text(path.read_text().replace('"prefix"', '"weel"'))
    assert fault(path).fix == "Did you mean 'wheel'?"


def test_a_recipe_without_steps_is_refused(home: Home) -> None:
    path = home.recipe("tool")
    path.write_text(path.read_text().replace("steps = ['true']", "steps = []"))
    assert fault(path).where.endswith("build.steps")


def test_memory_of_a_job_is_read_in_binary_units(home: Home) -> None:
    recipe = load_recipe(home.recipe("tool", "jobs = { memory = '1.5 GiB' }"))
    assert recipe.jobs.memory_bytes == 1536 * 1024**2
    assert load_recipe(home.recipe("other")).jobs.memory_bytes == 1024**3
    tiny = load_recipe(home.recipe("tiny", "jobs = { memory = '0.0001 KiB' }"))
    assert tiny.jobs.memory_bytes == 1  # something is divided by it


def test_a_stacks_own_recipe_stands_before_the_common_one(home: Home) -> None:
    common = home.recipe("tool")
    assert recipe_file(home.root / "recipes", "main", "tool") == common
    own = home.write("recipes/main/tool.toml", common.read_text())
    assert recipe_file(home.root / "recipes", "main", "tool") == own


def test_a_component_without_a_recipe_is_told_the_nearest(home: Home) -> None:
    home.recipe("aotriton")
    with pytest.raises(DataError, match="has no recipe") as caught:
        recipe_file(home.root / "recipes", "main", "aotritn")
    assert "Did you mean 'aotriton'?" in caught.value.fix


values = st.text(max_size=5) | st.booleans() | st.integers() | st.floats()
names = st.sampled_from(
    [
        *("summary", "license", "output", "verified", "build", "needs", "runtime"),
        *("jobs", "check", "steps", "python", "env", "memory"),
    ]
)
tables = st.dictionaries(names, values | st.lists(values, max_size=2), max_size=4)


@given(st.dictionaries(names, values | tables | st.lists(values | tables, max_size=2), max_size=9))
def test_any_toml_is_a_recipe_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, raw: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("recipe") / "tool.toml"
    whole = {"summary": "s", "license": "l", "output": "prefix", "verified": "source"}
    path.write_text(toml_file({**whole, "build": {"steps": ["x"]}, **raw}))
    error = refusal(lambda: load_recipe(path), DataError)
    assert error is None or str(path) in error.where


@given(st.text(max_size=30))
def test_any_text_is_a_requirement_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("recipe") / "tool.toml"
    raw = {"summary": "s", "license": "l", "output": "prefix", "verified": "source"}
    path.write_text(toml_file({**raw, "build": {"steps": ["x"]}, "runtime": [text]}))
    error = refusal(lambda: load_recipe(path), DataError)
    assert error is None or str(path) in error.where
