"""Which kernels are the same one for another target, or in another version."""

import pytest
from msgspec.structs import replace

from strixforge.audit.bodies import Body
from strixforge.audit.identity import file_identity, kernel_identity, package, problem
from strixforge.audit.kernels import Kernel
from strixforge.audit.parity import Parity, parity
from tests.unit.test_compare import PLAIN, taken


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("torch-2.8.0-cp312-cp312-linux_x86_64.whl!torch/lib/libtorch_hip.so",
         "torch-2.9.0a0+git1-cp313-cp313-linux_x86_64.whl!torch/lib/libtorch_hip.so", True),
        ("libhipblaslt1_7.1.1_amd64.deb!./usr/lib/a.co",
         "libhipblaslt1_7.2.0-1_amd64.deb!usr/lib/a.co", True),
        ("lib/libx.so.1.2", "lib/libx.so.2", True),
        ("rocm-6.4.4/lib/a.co", "rocm-6.4.3/lib/a.co", True),
        ("m/_C.cpython-312-x86_64-linux-gnu.so", "m/_C.abi3.so", True),
        ("lib/liba.so", "lib/libb.so", False),
        ("a-1-py3-none-any.whl!k.so", "b-1-py3-none-any.whl!k.so", False),
    ],
)  # fmt: skip
def test_a_file_is_the_same_in_another_version(one: str, other: str, same: bool) -> None:
    assert (file_identity(one) == file_identity(other)) == same


def test_names_lose_what_only_a_compilation_gives_them() -> None:
    assert kernel_identity("_Z1fv.intern.00ff12") == "_Z1fv"
    assert kernel_identity("_Z1fv.kd") == "_Z1fv.kd"
    assert package("x/my_app-1.0-py3-none-any.whl!k.so") == "my-app"
    assert problem("Cijk_Ailk_MT64x32x8_SN") == "Cijk_Ailk"
    assert problem("gemm") == ""


def held(ours: tuple[Kernel, ...], theirs: tuple[Kernel, ...], *allowed: str) -> Parity:
    return parity(
        taken(*ours, file="k-gfx1151.co"),
        taken(*theirs, file="k-gfx1100.co", arch="gfx1100"),
        allowed,
    )


def test_kernels_beside_a_sibling_are_there_hollow_or_missing() -> None:
    stub = replace(PLAIN, name="attention", body=Body.FAILS)
    works, lost = replace(stub, body=Body.WORKS), replace(PLAIN, name="lost")
    seen = held((PLAIN, stub), (PLAIN, works, lost))
    assert seen.compared == 3
    assert [one.name for one in seen.hollow] == ["attention"]
    assert [one.name for one in seen.missing] == ["lost"]
    said = seen.findings()
    assert any("1 kernels that work for gfx1100 are hollow for gfx1151" in one for one in said)
    assert any("missing" in one and "lost" in one for one in said)
    assert held((PLAIN, works), (PLAIN, works)).findings() == []


def test_what_does_nothing_for_the_sibling_either_is_not_asked_for() -> None:
    stub = replace(PLAIN, name="empty", body=Body.ENDS)
    assert held((PLAIN,), (PLAIN, stub)).findings() == []
    assert held((PLAIN,), (PLAIN, replace(PLAIN, name="allowed_1")), "allowed_.*").findings() == []


def test_nothing_to_compare_with_does_not_pass() -> None:
    (said,) = held((PLAIN,), ()).findings()
    assert "no working kernel for gfx1100" in said


def test_a_name_with_its_target_in_it_is_the_same_kernel() -> None:
    ours = replace(PLAIN, name="Cijk_ISA1151_x")
    theirs = replace(PLAIN, name="Cijk_ISA1100_x")
    assert held((ours,), (theirs,)).findings() == []
