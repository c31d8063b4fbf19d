"""Kernels with the right names and nothing in them: found, counted, and allowed by name."""

from pathlib import Path

import pytest

from strixforge.audit.bodies import Body
from strixforge.audit.codeobjects import CodeObject, Unreadable
from strixforge.audit.hollow import hollow_findings
from strixforge.audit.kernels import Kernel
from strixforge.model.checks import Check, Hollow
from strixforge.model.errors import DataError
from strixforge.model.recipe_files import load_recipe
from tests.unit.home import Home


def kernel(name: str, body: Body) -> Kernel:
    return Kernel(name, 8, 8, 0, 0, 0, 0, 32, 96, body)


def objects(target: str = "gfx1151") -> list[CodeObject | Unreadable]:
    bodies = {"gemm": Body.WORKS, "attn_a": Body.FAILS, "attn_b": Body.FAILS, "none": Body.ENDS}
    kernels = tuple(kernel(name, body) for name, body in bodies.items())
    return [
        CodeObject("lib.so!a", target, None, 100, kernels),
        CodeObject("lib.so!b", target, None, 100, (kernel("gemm", Body.WORKS),)),
        Unreadable("lib.so!c", "another gate's"),
    ]


def test_they_are_counted_for_each_file_and_named() -> None:
    assert hollow_findings(objects(), "gfx1151", []) == [
        "lib.so!a: 2 of 4 kernels, such as attn_a: each does nothing but assert or trap.",
        "lib.so!a: 1 of 4 kernels, such as none: each ends without having written anything.",
    ]


def test_what_is_meant_so_is_allowed_by_its_whole_name() -> None:
    assert hollow_findings(objects(), "gfx1151", ["attn_.", "none"]) == []
    (finding,) = hollow_findings(objects(), "gfx1151", ["attn_a", "attn", "none"])
    assert "1 of 4 kernels, such as attn_b" in finding


def test_a_generic_target_that_covers_counts_and_another_target_does_not() -> None:
    assert hollow_findings(objects("gfx11-generic"), "gfx1151", ["none"])
    assert hollow_findings(objects("gfx1100"), "gfx1151", []) == []


def test_what_was_not_read_is_not_called_hollow() -> None:
    one = CodeObject("k.co", "gfx1151", None, 100, (kernel("k", Body.UNREAD),))
    assert hollow_findings([one], "gfx1151", []) == []


def test_a_recipe_names_them_with_a_reason(home: Home) -> None:
    path = home.recipe("tool", rest="[check]\nhollow = [{ kernels = 'a.*', why = 'w' }]")
    assert load_recipe(path).check == Check(hollow=(Hollow(kernels="a.*", why="w"),))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{ kernels = '(', why = 'w' }", "check.hollow[0].kernels"),
        ("{ kernels = 'a' }", "check.hollow[0]"),
    ],
)
def test_a_pattern_or_a_reason_that_is_none_is_refused(home: Home, text: str, where: str) -> None:
    path: Path = home.recipe("tool", rest=f"[check]\nhollow = [{text}]")
    with pytest.raises(DataError) as caught:
        load_recipe(path)
    assert caught.value.where == f"{path}: {where}"
