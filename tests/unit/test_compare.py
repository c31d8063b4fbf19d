"""What changed for kernels between two versions, what of it does not pass, and how it is told."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from strixforge.audit import changes
from strixforge.audit.bodies import Body
from strixforge.audit.compare import MEASURES, compare
from strixforge.audit.kernels import Kernel
from strixforge.audit.limits import LIMITS, Limits, findings
from strixforge.audit.page import page
from strixforge.audit.snapshot import KernelFile, Snapshot
from strixforge.model.kernel_limits import KernelLimits

PLAIN = Kernel(
    name="gemm", vgprs=96, sgprs=20, vgpr_spills=0, sgpr_spills=0, scratch=0, lds=0, wavefront=32,
    text=400, body=Body.WORKS,
)  # fmt: skip
FILE = "app-1.0-py3-none-any.whl!app/kernels.so"


def taken(*kernels: Kernel, file: str = FILE, arch: str = "gfx1151") -> Snapshot:
    files = (KernelFile(file, kernels),) if kernels else ()
    return Snapshot(arch, files)


NUMBERS = st.integers(0, 300)
KERNELS = st.builds(
    Kernel,
    name=st.sampled_from(["a", "b", "gemm", "_Z3fooPf", "x.intern.00ff", "Cijk_A_MT64x32x8_W1"]),
    vgprs=NUMBERS, sgprs=NUMBERS, vgpr_spills=NUMBERS, sgpr_spills=NUMBERS, scratch=NUMBERS,
    lds=NUMBERS, wavefront=st.sampled_from([32, 64]), text=NUMBERS, body=st.sampled_from(Body),
)  # fmt: skip
FILES = st.lists(
    st.builds(
        KernelFile,
        name=st.sampled_from([FILE, "lib/libx.so.1.2", "y.co", "rocm-6.4.4/lib/z.co"]),
        kernels=st.lists(KERNELS, min_size=1, max_size=5).map(tuple),
    ),
    max_size=4,
    unique_by=lambda one: one.name,
)
SNAPSHOTS = FILES.map(lambda files: Snapshot("gfx1151", tuple(files)))


@given(SNAPSHOTS)
def test_the_same_beside_itself_has_not_changed(one: Snapshot) -> None:
    seen = compare(one, one)
    assert (seen.changed(), seen.gone, seen.retuned, seen.added) == ([], (), (), ())
    assert len(seen.pairs) == len(one.kernels)
    # A kernel that gone and hollow limits ask about is there; nothing at all is no comparison.
    assert bool(findings(seen, Limits())) == (not one.files)


@given(SNAPSHOTS, SNAPSHOTS)
def test_every_kernel_of_both_sides_is_accounted_for_once(old: Snapshot, new: Snapshot) -> None:
    seen = compare(old, new)
    assert len(old.kernels) == len(seen.pairs) + len(seen.gone) + len(seen.retuned)
    assert len(new.kernels) == len(seen.pairs) + len(seen.added)
    for measure in MEASURES:
        assert {*seen.worse(measure)}.isdisjoint(seen.better(measure))
    text = page(seen, tuple(findings(seen, Limits())))
    assert text == page(compare(old, new), tuple(findings(seen, Limits())))


@given(SNAPSHOTS, SNAPSHOTS, st.randoms())
def test_the_order_of_files_and_kernels_does_not_count(
    old: Snapshot, new: Snapshot, chance: object
) -> None:
    def mixed(one: Snapshot) -> Snapshot:
        files = [
            KernelFile(file.name, tuple(sorted(file.kernels, key=lambda _: chance.random())))  # type: ignore[attr-defined]
            for file in one.files
        ]
        return Snapshot(one.arch, tuple(sorted(files, key=lambda _: chance.random())))  # type: ignore[attr-defined]

    assert changes.document(compare(mixed(old), mixed(new))) == changes.document(compare(old, new))


@given(SNAPSHOTS, SNAPSHOTS)
def test_what_is_gone_one_way_is_new_the_other_way(old: Snapshot, new: Snapshot) -> None:
    there, back = compare(old, new), compare(new, old)
    assert len(there.gone) + len(there.retuned) == len(back.added)
    for measure in MEASURES:
        assert len(there.pairs) == len(back.pairs), measure


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"vgpr_spills": 3}, "vgpr_spills"),
        ({"sgpr_spills": 1}, "sgpr_spills"),
        ({"scratch": 64}, "scratch"),
        ({"vgprs": 97}, "vgprs"),
        ({"lds": 8}, "lds"),
        ({"vgprs": 256}, "waves"),
    ],
)
def test_each_figure_that_grows_is_told_and_limited(change: dict[str, int], key: str) -> None:
    seen = compare(taken(PLAIN), taken(replace(PLAIN, **change)))
    measure = next(one for one in MEASURES if one.key == key)
    assert len(seen.worse(measure)) == 1
    assert changes.document(seen)["measures"][key] == {"worse": 1, "better": 0}
    said = "\n".join(changes.lines(seen))
    assert measure.words in said
    assert max(map(len, changes.lines(seen))) <= 100
    assert findings(seen, Limits()) == []
    strict = Limits(**{key: 0.5})
    assert any(f"app: 1 of 1 kernels have {more}" in one for one in findings(seen, strict)
               for more in ("more", "fewer"))  # fmt: skip
    assert findings(compare(taken(replace(PLAIN, **change)), taken(PLAIN)), strict) == []


def test_a_kernel_that_is_gone_or_became_hollow_does_not_pass() -> None:
    (gone,) = findings(compare(taken(PLAIN, replace(PLAIN, name="b")), taken(PLAIN)), Limits())
    assert gone == "app: 1 of 2 kernels are gone (50.00%), such as b."
    stub = replace(PLAIN, body=Body.FAILS)
    (hollow,) = findings(compare(taken(PLAIN), taken(stub)), Limits())
    assert hollow == "app: 1 of 1 kernels became hollow (100.00%), such as gemm."
    assert "hollow now: gemm" in changes.lines(compare(taken(PLAIN), taken(stub)))
    assert findings(compare(taken(stub), taken(stub)), Limits()) == []
    (nothing,) = findings(compare(taken(), taken(PLAIN)), Limits())
    assert "no old kernel for gfx1151" in nothing


def test_a_newer_version_is_held_against_the_older_one() -> None:
    newer = taken(PLAIN, file="my folder/app-2.0+rocm7-cp312-cp312-linux_x86_64.whl!app/kernels.so")
    seen = compare(taken(PLAIN), newer)
    assert (len(seen.pairs), seen.pairs[0].moved_from, seen.changed()) == (1, "", [])


def test_a_kernel_that_moved_is_found_where_it_is() -> None:
    (pair,) = compare(taken(PLAIN), taken(PLAIN, file="other.co")).pairs
    assert (pair.file, pair.moved_from) == ("other.co", FILE)


def test_another_tuning_of_the_same_problem_is_not_gone() -> None:
    old = replace(PLAIN, name="Cijk_Ailk_HHS_MT64x32x32_WG8")
    new = replace(PLAIN, name="Cijk_Ailk_HHS_MT128x64x16_WG32")
    seen = compare(taken(old), taken(new))
    assert ([one.kernel for one in seen.retuned], seen.gone) == ([old], ())
    assert findings(seen, Limits()) == []


def test_an_archive_can_have_limits_of_its_own() -> None:
    seen = compare(taken(PLAIN), taken(replace(PLAIN, vgpr_spills=9)))
    strict = Limits(vgpr_spills=0)
    assert findings(seen, strict)
    assert findings(seen, strict, {"app": Limits()}) == []
    assert findings(seen, strict, {"other": Limits()}) == findings(seen, strict)
    assert findings(seen, Limits(), {"app": strict}) == findings(seen, strict)


def test_policy_and_audit_limit_the_same() -> None:
    assert tuple(KernelLimits.__struct_fields__) == LIMITS
    assert KernelLimits.__struct_defaults__ == tuple(one.default for one in fields(Limits))


def test_the_page_needs_nothing_else_and_says_names_as_text() -> None:
    evil = replace(PLAIN, name="<script>alert(1)</script>&\"'", vgprs=200)
    text = page(compare(taken(replace(evil, vgprs=90)), taken(evil)), ("<b>bad</b>",))
    assert "<script" not in text
    assert "<b>bad" not in text
    assert "&lt;script&gt;" in text
    assert not re.findall(r"(?:src|href|url)\s*[=(]", text)
    assert "90 → 200" in text


def test_the_json_can_be_read_back(tmp_path: Path) -> None:
    seen = compare(taken(PLAIN), taken(replace(PLAIN, vgprs=200)))
    (tmp_path / "a.json").write_text(json.dumps(changes.document(seen)))
    (row,) = json.loads((tmp_path / "a.json").read_text())["changed"]
    assert (row["old"]["vgprs"], row["new"]["vgprs"], row["new"]["waves"]) == (96, 200, 7)
    assert row["old"].keys() == {one.key for one in MEASURES}
