"""The device check of a component: its recipe, when the plan has one, and what a plan builds."""

import pytest

from strixforge.model.errors import DataError
from strixforge.model.recipe_files import load_recipe
from strixforge.plan.device import device_recipe
from tests.unit.home import Home

TOOL = """\
summary = "kernels"
license = "MIT"
output = "wheel"
verified = "source"
distribution = "tool-x"
needs = ["lib"]
runtime = ["sympy"]
host = ["git"]
[forecast]
memory = "64 GiB"
source = "s"
[build]
python = ["cmake"]
imports = ["lib"]
env = { A = "1" }
cmake = { X = "ON", Y = "ON" }
prepare = ["hipify"]
configure = ["cmake whole"]
steps = ["ninja whole"]
[activate]
env = { B = "1" }
[check]
paths = ["tool/_C.so"]
source = [{ file = "a", has = "x", why = "w" }]
configure = { folder = "{{ build }}" }
[device]
needs = ["kit"]
build.python = ["ninja"]
build.env = { C = "1" }
build.cmake = { Y = "OFF" }
build.configure = ["cmake device"]
build.steps = ["ninja device"]
check.code_objects = true
check.source = [{ file = "b", has = "y", why = "w" }]
"""


@pytest.fixture
def stack(home: Home) -> Home:
    """Return a stack of a tool with a device check, and a lib that it needs."""
    home.write("recipes/tool.toml", TOOL)
    home.pin("tool")
    home.pin("lib")
    other = 'summary = "s"\nlicense = "MIT"\nverified = "source"\noutput = "{}"\n'
    home.write("recipes/lib.toml", other.format("wheel") + "[build]\nsteps = ['x']\n")
    home.write("recipes/kit.toml", other.format("source"))
    return home


def test_it_is_the_recipe_with_other_needs_steps_and_checks(stack: Home) -> None:
    whole = load_recipe(stack.root / "recipes/tool.toml")
    assert whole.device is not None
    recipe = device_recipe(whole, whole.device)
    assert recipe.needs == ("kit",)
    assert recipe.build.python == ("cmake", "ninja")
    assert recipe.build.cmake == {"X": "ON", "Y": "OFF"}
    assert recipe.build.prepare == ("hipify",)
    assert recipe.build.configure == ("cmake device",)
    assert recipe.build.steps == ("ninja device",)
    assert recipe.build.env == {"C": "1"}
    assert recipe.build.imports == ()
    assert [one.file for one in recipe.check.source] == ["a", "b"]
    assert (recipe.check.paths, recipe.check.code_objects) == ((), True)
    assert recipe.check.configure is None
    assert recipe.host == ("git",)


def test_it_is_not_shipped_and_has_nothing_of_what_is(stack: Home) -> None:
    whole = load_recipe(stack.root / "recipes/tool.toml")
    assert whole.device is not None
    recipe = device_recipe(whole, whole.device)
    assert (recipe.output, recipe.distribution, recipe.runtime) == ("source", "", ())
    assert recipe.activate.env == {}
    assert recipe.forecast is None
    assert recipe.device is None
    assert recipe.summary == "the device code of: kernels"


def test_a_plan_has_one_only_where_the_kit_is_pinned(stack: Home) -> None:
    assert stack.plan().devices == {}
    stack.pin("kit")
    plan = stack.plan()
    assert list(plan.devices) == ["device_tool"]
    device = plan.component("device_tool")
    assert device.pin is plan.component("tool").pin
    assert device.requirements_file.name == "device_tool.txt"
    assert "device_tool" not in plan.components


def test_its_needs_are_its_own(stack: Home) -> None:
    stack.pin("kit")
    plan = stack.plan()
    assert plan.closure(["device_tool"]) == ["kit", "device_tool"]
    assert plan.closure(["tool"]) == ["lib", "tool"]


def test_a_when_is_joined_in_before(stack: Home) -> None:
    stack.pin("kit")
    when = '[[when]]\npins = ["tool"]\nbuild.cmake = { Z = "ON" }\n'
    stack.write("recipes/tool.toml", TOOL + when)
    assert stack.plan().component("device_tool").recipe.build.cmake["Z"] == "ON"


def test_its_imports_must_be_wheels_too(stack: Home) -> None:
    stack.pin("kit")
    stack.write("recipes/tool.toml", TOOL + 'build.imports = ["kit"]\n')
    with pytest.raises(DataError, match="device_tool imports 'kit', which is no wheel"):
        stack.plan()


def test_a_device_check_without_steps_is_none(stack: Home) -> None:
    stack.pin("kit")
    stack.write("recipes/tool.toml", TOOL.replace('build.steps = ["ninja device"]\n', ""))
    with pytest.raises(DataError):
        stack.plan()


def test_a_source_that_nothing_shipped_needs_is_not_built_for_the_wheelhouse(stack: Home) -> None:
    stack.pin("kit")
    plan = stack.plan()
    assert sorted(plan.shipped()) == ["lib", "tool"]
    assert plan.closure(plan.shipped()) == ["lib", "tool"]


def test_a_source_that_something_shipped_needs_is(stack: Home) -> None:
    stack.pin("kit")
    stack.write("recipes/tool.toml", TOOL.replace('needs = ["lib"]', 'needs = ["lib", "kit"]', 1))
    plan = stack.plan()
    assert sorted(plan.shipped()) == ["lib", "tool"]
    assert set(plan.closure(plan.shipped())) == {"lib", "kit", "tool"}


def test_a_closure_stands_in_the_order_of_building(stack: Home) -> None:
    stack.pin("kit")
    plan = stack.plan()
    everything = plan.closure([*plan.components, *plan.devices])
    for name in everything:
        assert all(everything.index(need) < everything.index(name) for need in plan.needs(name))
