"""Key documents: what changes a key, and what does not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from strixforge.model.digests import canonical, document_digest
from strixforge.plan.explain import differences
from strixforge.plan.keys import KeyDocument, key_document
from tests.unit.home import HASH, PATCH, Home

REST = "env = { A = '1' }\npython = ['cmake']\n[check]\npaths = ['lib/x']"
OTHER = HASH[::-1]


@pytest.fixture
def project(home: Home) -> Home:
    home.component("rocm")
    home.component("tool", "needs = ['rocm']\njobs = { memory = '1 GiB' }", REST)
    home.write("patches/tool/0001-first.patch", PATCH)
    home.write("patches/tool/0002-second.patch", PATCH.replace("+new", "+second"))
    home.write("locks/main/tool.txt", f"cmake==3.27 --hash=sha256:{HASH}\n")
    return home


def document(home: Home, **more: Any) -> KeyDocument:
    plan = home.plan(arch=more.pop("arch", "gfx1151"))
    inputs = {"source": f"sha256:{HASH}", "root": {"kind": "host"}, "needs": {"rocm": HASH}}
    return key_document(
        plan.components["tool"], plan, more.pop("toolchains", {}), **(inputs | more)
    )


def edit(name: str, old: str, new: str) -> Callable[[Home], None]:
    def change(home: Home) -> None:
        path = home.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def move(old: str, new: str) -> Callable[[Home], None]:
    def change(home: Home) -> None:
        (home.root / old).rename(home.root / new)

    return change


RECIPE = "recipes/tool.toml"


@pytest.mark.parametrize(
    "change",
    [
        edit(RECIPE, "[build]", "# why\n\n[build]   # here"),
        edit(RECIPE, "steps = ['true']", 'steps = [\n  "true",\n]'),
        edit(RECIPE, "1 GiB", "9 GiB"),
        edit(RECIPE, '"a test"', '"another summary"'),
        edit(RECIPE, '"MIT"', '"BSD-2-Clause"'),
        edit(RECIPE, '"source"', '"hardware"'),
        edit("patches/tool/0001-first.patch", "make it work", "other words"),
        edit("patches/tool/0001-first.patch", "Applies-To: tool", "Applies-To: tool<9"),
        move("patches/tool/0002-second.patch", "patches/tool/0007-renamed.patch"),
        edit("locks/main/tool.txt", "cmake", "# a comment\ncmake"),
        edit("toolchain.lock", "[[stack.main.pin]]", "# a comment\n[[stack.main.pin]]"),
        edit("recipes/rocm.toml", "steps = ['true']", "steps = ['false']"),
    ],
)
def test_what_cannot_change_the_output_does_not_change_the_key(
    project: Home, change: Callable[[Home], None]
) -> None:
    before = document(project)
    change(project)
    assert document_digest(document(project)) == document_digest(before)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (edit(RECIPE, "['true']", "['false']"), "the recipe: steps: - true"),
        (edit(RECIPE, "['true']", "['true', 'x']"), "the recipe: steps: + x"),
        (edit(RECIPE, "['true']", "['true', 'true']"), "the recipe: steps: + true"),
        (edit(RECIPE, "A = '1'", "A = '2'"), "the recipe: env: A changed: 1 -> 2"),
        (edit(RECIPE, "A = '1'", "B = '1'"), "the recipe: env: B is new: 1"),
        (edit(RECIPE, "lib/x", "lib/y"), "the recipe: check: paths: + lib/y"),
        (
            edit(RECIPE, "[check]", "[check]\ncode_objects = true"),
            "the recipe: check: code_objects changed: False -> True",
        ),
        (
            edit(RECIPE, '"prefix"', '"wheel"'),
            "the recipe: output changed: prefix -> wheel",
        ),
        (edit("patches/tool/0001-first.patch", "+new", "+newer"), "the patches: + "),
        (
            move("patches/tool/0001-first.patch", "patches/tool/0003-last.patch"),
            "the patches: the order changed",
        ),
        (
            edit("locks/main/tool.txt", "3.27", "3.28"),
            "the locked Python build requirements: - cmake==3.27 0123456789ab…",
        ),
        (
            edit("toolchain.lock", "'tool'\nversion = '1.0'", "'tool'\nversion = '1.1'"),
            "the pinned version changed: 1.0 -> 1.1",
        ),
        (
            edit("toolchain.lock", "1600000000", "1600000001"),
            "SOURCE_DATE_EPOCH changed: 1600000000 -> 1600000001",
        ),
    ],
)
def test_each_input_on_disk_changes_the_key_and_explain_names_it(
    project: Home, change: Callable[[Home], None], sentence: str
) -> None:
    before = document(project)
    change(project)
    after = document(project)
    assert document_digest(after) != document_digest(before)
    assert any(one.startswith(sentence) for one in differences(before, after))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"arch": "gfx1100"}, "the target architecture changed: gfx1151 -> gfx1100"),
        ({"source": f"sha256:{OTHER}"}, "the source changed: "),
        ({"root": {"kind": "tree"}}, "the root that builds see: kind changed: host -> tree"),
        ({"needs": {"rocm": OTHER}}, "what it needs: rocm changed: 0123456789ab… -> "),
        ({"needs": {}}, "what it needs: rocm is gone: 0123456789ab…"),
    ],
)
def test_each_other_input_changes_the_key_and_explain_names_it(
    project: Home, more: dict[str, Any], sentence: str
) -> None:
    before, after = document(project), document(project, **more)
    assert document_digest(after) != document_digest(before)
    assert [one for one in differences(before, after) if one.startswith(sentence)]


def test_a_document_equals_itself_after_it_was_stored(project: Home) -> None:
    before = document(project)
    assert differences(json.loads(json.dumps(before)), document(project)) == []


def test_no_path_of_this_machine_is_in_a_key_document(project: Home) -> None:
    assert str(project.root) not in str(document(project))


def test_a_document_that_is_read_back_has_the_same_digest(project: Home) -> None:
    whole = document(project) | {"odd": "caf\u00e9 \udce9"}
    assert document_digest(json.loads(canonical(whole))) == document_digest(whole)
