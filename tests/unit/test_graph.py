"""The components of a stack in order."""

import pytest

from strixforge.model.errors import DataError, UnpinnedError, UsageError
from tests.unit.home import HASH, PATCH, Home


def test_each_component_stands_after_all_that_it_needs(home: Home) -> None:
    home.component("vllm", "needs = ['torch', 'rocm']")
    home.component("torch", "needs = ['rocm', 'triton']")
    home.component("triton", "needs = ['rocm']")
    home.component("rocm")
    home.component("apart")
    plan = home.plan()
    order = list(plan.components)
    for name, component in plan.components.items():
        assert all(order.index(need) < order.index(name) for need in component.recipe.needs)
    assert list(home.plan().components) == order


def test_a_circle_is_shown_as_one(home: Home) -> None:
    home.component("a", "needs = ['b']")
    home.component("b", "needs = ['a']")
    with pytest.raises(DataError, match=r"in a circle: (a -> b -> a|b -> a -> b)"):
        home.plan()


def test_a_need_that_is_not_pinned_names_recipe_and_nearest(home: Home) -> None:
    home.component("triton")
    home.component("torch", "needs = ['tritn']")
    with pytest.raises(DataError, match="needs 'tritn'") as caught:
        home.plan()
    assert caught.value.where.endswith("torch.toml: needs")
    assert "Did you mean 'triton'?" in caught.value.fix


def test_one_toolchain_is_shown_at_opt_rocm_so_two_are_refused(home: Home) -> None:
    for name in ("rocm", "therock"):
        home.pin(name)
        path = home.recipe(name)
        path.write_text(path.read_text().replace('"prefix"', '"toolchain"'))
    with pytest.raises(DataError, match="has 2 toolchains: rocm, therock"):
        home.plan()


def test_a_pin_without_a_recipe_is_refused(home: Home) -> None:
    home.pin("tool")
    with pytest.raises(DataError, match="'tool' of stack main has no recipe"):
        home.plan()


def test_patches_go_to_the_pins_they_are_for_and_the_others_say_why_not(home: Home) -> None:
    home.component("tool")
    home.pin("tool", "2.0")
    home.write("patches/tool/0001-always.patch", PATCH)
    home.write("patches/tool/0002-new.patch", PATCH.replace(": tool", ": tool>=2"))
    merged = PATCH.replace("Forwarded: no", "Origin: upstream\nApplied-Upstream: 2.0")
    home.write("patches/tool/0003-merged.patch", merged)
    old = home.plan().components["tool"]
    assert [patch.path.name for patch in old.patches] == ["0001-always.patch", "0003-merged.patch"]
    assert [why for _, why in old.skipped] == ["for other pins: tool>=2"]
    new = home.plan(tool="2.0").components["tool"]
    assert [patch.path.name for patch in new.patches] == ["0001-always.patch", "0002-new.patch"]
    assert [why for _, why in new.skipped] == ["droppable: tool 2.0 has it, the pin is 2.0"]


def test_a_patch_for_a_misspelt_component_is_refused_rather_than_never_applied(home: Home) -> None:
    home.component("vllm")
    path = home.write("patches/vllm/0001-x.patch", PATCH.replace(": tool", ": vlm>=1"))
    with pytest.raises(DataError, match="names 'vlm', which has no recipe") as caught:
        home.plan()
    assert caught.value.where == f"{path}: Applies-To"
    assert caught.value.fix == "Did you mean 'vllm'?"


def test_a_patch_may_speak_of_a_component_of_another_stack(home: Home) -> None:
    home.component("vllm")
    home.write("recipes/other/rocm.toml", home.recipe("spare").read_text())
    home.write("patches/vllm/0001-x.patch", PATCH.replace(": tool", ": vllm; rocm<6.4.5"))
    ((_, why),) = home.plan().components["vllm"].skipped
    assert why == "for other pins: vllm; rocm<6.4.5"


def test_a_version_that_is_not_in_the_lock_is_refused(home: Home) -> None:
    home.component("tool")
    with pytest.raises(UsageError, match=r"no pin of tool 9.9"):
        home.plan(tool="9.9")


def test_build_requirements_are_read_when_they_are_asked_for(home: Home) -> None:
    home.component("tool", "", "python = ['cmake>=3.20']")
    component = home.plan().components["tool"]
    with pytest.raises(UnpinnedError, match="are not locked"):
        _ = component.requirements
    home.write("locks/main/tool.txt", f"cmake==3.27 --hash=sha256:{HASH}\n")
    assert home.plan().components["tool"].requirements.locked[0].version == "3.27"
