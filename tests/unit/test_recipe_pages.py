"""Every option and variable of a recipe is grounded on its page, and every pin has its source."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from strixforge.model import conditions
from strixforge.model.lock import load_lock
from strixforge.model.pins import LocalPin, SystemPin
from strixforge.model.policy import load_policy
from strixforge.model.recipe import Build, RawRecipe
from strixforge.model.recipe_files import component_names, load_recipe

HOME = Path(__file__).parents[2]
PAGES = HOME / "docs" / "reference" / "recipes"
LOCK = load_lock(HOME / "toolchain.lock")
REAL = ("rocm-6.4.4", "therock")
COMPONENTS = sorted(
    {
        pin.component
        for stack in REAL
        for pin in LOCK.stacks[stack].pins
        if not isinstance(pin, LocalPin | SystemPin) and pin.component != "torch_headers"
    }
    - {"rocm"}
)
# A path, or a file of a named release; else a program that has the name by itself.
SOURCE = re.compile(
    r"\w[\w.-]*/[\w.-]+|\bline|sdist|wheel|[0-9]+\.[0-9]+|the same|above"
    r"|Python|CMake|GNUInstallDirs|loader|clang|TheRock|cargo|ccache|pip|as for"
)


def recipe(component: str) -> RawRecipe:
    """Return a recipe as it is written."""
    return load_recipe(HOME / "recipes" / f"{component}.toml")


def builds(one: RawRecipe) -> Iterator[Build]:
    """Yield every [build] of a recipe."""
    yield one.build
    yield from (when.build for when in one.when)
    if one.device is not None:
        yield one.device.build


def grounded(page: str) -> dict[str, str]:
    """Return what stands in the first cells of a page's tables, to the last cell of the row."""
    found: dict[str, str] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("|") and len(cells) > 1:
            for name in re.findall(r"`([A-Za-z_][A-Za-z0-9_]*)`", cells[0]):
                found.setdefault(name, cells[-1])
    return found


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_option_and_variable_is_grounded_on_the_page_of_its_recipe(component: str) -> None:
    one = recipe(component)
    known = grounded((PAGES / f"{component}.md").read_text(encoding="utf-8"))
    for build in builds(one):
        for name in (*build.cmake, *build.env):
            assert name in known, f"{component}.md says nothing of {name}"
            assert SOURCE.search(known[name]), f"{component}.md names no source for {name}"
    for name in one.activate.env:
        assert name in known, f"{component}.md says nothing of {name}"


@pytest.mark.parametrize("component", COMPONENTS)
def test_kernels_that_may_be_hollow_stand_on_the_page_of_the_recipe(component: str) -> None:
    one = recipe(component)
    tables = [one.check, *(when.check for when in one.when)]
    page = (PAGES / f"{component}.md").read_text(encoding="utf-8")
    names = re.findall(r"`(\w+)`", page.partition("## Hollow kernels")[2].partition("\n## ")[0])
    for allowed in (hollow for table in tables for hollow in table.hollow):
        assert any(name in allowed.kernels for name in names), f"{component}: {allowed.kernels}"


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_option_or_variable_hides_in_a_step(component: str) -> None:
    for build in builds(recipe(component)):
        for step in (*build.prepare, *build.configure, *build.steps):
            assert not re.search(r"(^|\s)-D[A-Za-z_]", step), step
            assert not re.search(r"(^|[;&|]\s*)[A-Z_]{3,}=\S*\s+\w", step), step


def test_the_pages_are_those_of_recipes() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")}
    assert set(COMPONENTS) <= pages
    assert pages <= {path.stem for path in (HOME / "recipes").glob("*.toml")} | {"README"}


@pytest.mark.parametrize("stack", REAL)
def test_every_pin_says_where_it_was_read_and_how_sure_that_is(stack: str) -> None:
    pins = LOCK.stacks[stack].pins
    assert len(pins) > 8
    for pin in pins:
        if not isinstance(pin, LocalPin):
            assert len(pin.note) > 20, f"{pin.component} has no note"
        if not isinstance(pin, LocalPin | SystemPin) and pin.component != "torch_headers":
            assert re.search(r"\b[ABC]\b", pin.note), f"{pin.component}: how sure?"


def test_every_set_and_combination_names_its_sources() -> None:
    rules = load_policy(HOME / "policy.toml")
    assert len(LOCK.together) > 5
    assert all(len(one.source) > 20 for one in LOCK.together)
    assert len(rules.combinations) > 15
    for one in rules.combinations:
        assert all(len(source) > 5 for source in one.sources)
        assert one.verdict != "refuse" or one.confidence == "A"
        assert conditions.names(one.pins) <= component_names(HOME / "recipes"), one.id


def test_the_lock_gives_no_value_without_a_recipe() -> None:
    for stack in REAL:
        for pin in LOCK.stacks[stack].pins:
            assert (HOME / "recipes" / f"{pin.component}.toml").is_file()


def test_the_default_stack_is_the_classic_one() -> None:
    assert tomllib.loads((HOME / "toolchain.lock").read_text())["default"] == "rocm-6.4.4"
