"""What policy.toml says of a ROCm on the GPU and kernel of this machine, which stand in sysfs."""

from pathlib import Path
from typing import Any

import pytest

from strixforge.host.gpu import Gpu, Gpus
from strixforge.model.errors import DataError, PolicyError
from strixforge.model.policy import load_policy
from strixforge.policy import Policy
from tests.unit.home import Home, toml_file

FILE = Path(__file__).parents[2] / "policy.toml"
NEW_KERNEL = {"gfx_target_version": 110501, "cwsr_size": 17616896}
OLD_KERNEL = {"gfx_target_version": 110501}


def machine(properties: dict[str, int], *mes: int, target: str = "gfx1151") -> Gpus:
    return Gpus((Gpu(target, properties),), frozenset(mes))


@pytest.fixture
def policy(home: Home) -> Policy:
    """Return the project's own rules, with a lock that has the one stack `main`."""
    home.pin("rocm", "10.1.0")
    return Policy(load_policy(FILE), FILE, home.lock())


@pytest.mark.parametrize(
    "version",
    [
        *("6.4.4", "6.4.4-129", "7.0.2", "7.1.1", "7.1.1rc1", "7.9.0", "7.9.0rc20251008"),
        *("7.10.0", "7.10.0a20251024", "rocm-6.4.4", "5.7.1"),
    ],
)
def test_a_rocm_that_saves_too_little_is_refused_on_a_kernel_that_saves_all(
    policy: Policy, version: str
) -> None:
    warnings, refusal = policy.check_host(version, machine(NEW_KERNEL), "gfx1151", "here")
    assert refusal is not None
    assert "rule save-area-of-gfx1151" in refusal.what
    assert version in refusal.what
    assert warnings == []


@pytest.mark.parametrize(
    "version",
    ["7.2.0", "7.2", "7.2.1", "7.8.0", "7.11.0", "7.11.0a20260101", "7.13.0", "10.0.0", "10.1.0a1"],
)
def test_a_rocm_that_knows_the_save_area_passes_without_a_word(
    policy: Policy, version: str
) -> None:
    found = policy.check_host(version, machine(NEW_KERNEL), "gfx1151", "here")
    assert found == ([], None)


@pytest.mark.parametrize("version", ["6.4.4", "7.1.1", "7.9.0", "7.2.0", "10.0.0"])
def test_a_kernel_that_does_not_tell_the_save_area_is_a_warning_with_every_rocm(
    policy: Policy, version: str
) -> None:
    (warning,), refusal = policy.check_host(version, machine(OLD_KERNEL), "gfx1151", "here")
    assert refusal is None
    assert warning.startswith(f"this machine, ROCm {version}: ")
    assert "(kernel-without-save-area-size)" in warning


@pytest.mark.parametrize(("mes", "warned"), [(0x83, True), (0x82, False), (0x84, False)])
def test_the_firmware_that_hangs_is_a_warning(policy: Policy, mes: int, warned: bool) -> None:
    warnings, refusal = policy.check_host("10.0.0", machine(NEW_KERNEL, mes), "gfx1151", "here")
    assert refusal is None
    assert ["(mes-firmware-0x83)" in one for one in warnings] == [True] * warned


def test_one_card_with_that_firmware_is_enough(policy: Policy) -> None:
    found = policy.check_host("10.0.0", machine(NEW_KERNEL, 0x80, 0x83), "gfx1151", "here")
    assert len(found[0]) == 1


def test_a_refusal_does_not_keep_the_warnings_back(policy: Policy) -> None:
    warnings, refusal = policy.check_host("6.4.4", machine(NEW_KERNEL, 0x83), "gfx1151", "here")
    assert refusal is not None
    assert len(warnings) == 1


def test_kernel_and_firmware_each_warn(policy: Policy) -> None:
    warnings, refusal = policy.check_host("6.4.4", machine(OLD_KERNEL, 0x83), "gfx1151", "here")
    assert refusal is None
    assert len(warnings) == 2


@pytest.mark.parametrize(
    ("gpus", "arch"),
    [
        (Gpus((), frozenset()), "gfx1151"),
        (Gpus((), frozenset({0x83})), "gfx1151"),
        (machine(NEW_KERNEL, 0x83), "gfx1201"),
        (machine(NEW_KERNEL, 0x83, target="gfx1201"), "gfx1151"),
        (machine(NEW_KERNEL, 0x83, target="gfx1201"), "gfx1201"),
    ],
)
def test_another_gpu_or_another_target_is_none_of_its_business(
    policy: Policy, gpus: Gpus, arch: str
) -> None:
    assert policy.check_host("6.4.4", gpus, arch, "here") == ([], None)


def test_the_strix_halo_beside_another_gpu_counts(policy: Policy) -> None:
    gpus = Gpus((Gpu("gfx1201", OLD_KERNEL), Gpu("gfx1151", NEW_KERNEL)), frozenset())
    assert policy.check_host("6.4.4", gpus, "gfx1151", "here")[1] is not None


@pytest.mark.parametrize("version", ["junk", "", "7"])
def test_a_release_that_is_no_number_fits_no_rule(policy: Policy, version: str) -> None:
    assert policy.check_host(version, machine(NEW_KERNEL), "gfx1151", "here") == ([], None)


def refusal_of(policy: Policy) -> PolicyError:
    refusal = policy.check_host("6.4.4", machine(NEW_KERNEL), "gfx1151", "a lock: pin of rocm")[1]
    assert refusal is not None
    return refusal


def test_the_refusal_says_where_why_and_what_to_do_instead(policy: Policy) -> None:
    error = refusal_of(policy)
    assert error.exit_code == 12
    assert error.what == "ROCm 6.4.4 does not work on this machine: rule save-area-of-gfx1151."
    assert error.where == f"a lock: pin of rocm\nrule: {FILE}"
    assert "programs crash at once" in error.cause
    assert error.cause.count("\nsource: ") == 3
    assert "source: ROCm/TheRock issue 2991" in error.cause
    assert error.fix == (
        "Pin another ROCm (a stack therock), or build for another machine: "
        "./doit target=elsewhere …"
    )


def test_the_stack_to_use_is_a_command_where_the_lock_has_it(home: Home) -> None:
    home.pin("rocm", "6.4.4")
    with home.lock_file.open("a") as file:
        file.write('[stack.therock]\nsummary = "s"\npin = []\n')
    error = refusal_of(Policy(load_policy(FILE), FILE, home.lock()))
    assert error.fix.startswith("Use ./doit stack=therock …, or build for another machine: ")


def host_rule(**more: Any) -> str:
    whole = {"id": "r", "verdict": "refuse", "gpu": "gfx1151", "reason": "b", "sources": ["s"]}
    return toml_file({"rule": [], "host": [whole | more]})


def with_rule(home: Home, **more: Any) -> Policy:
    home.pin("rocm", "6.4.4")
    file = home.write("policy.toml", host_rule(**more))
    return Policy(load_policy(file), file, home.lock())


def test_a_rule_without_a_stack_says_to_pin_another_rocm(home: Home) -> None:
    error = refusal_of(with_rule(home))
    assert error.fix == "Pin another ROCm, or build for another machine: ./doit target=elsewhere …"


def test_each_condition_of_a_rule_must_hold(home: Home) -> None:
    policy = with_rule(
        home, releases=["==7.*"], kernel_exports="a", kernel_lacks="b", mes_firmware=[1, 2]
    )
    cases = {
        ("7.2.0", ("a",), (2,)): True,
        ("6.4.4", ("a",), (2,)): False,
        ("7.2.0", (), (2,)): False,
        ("7.2.0", ("a", "b"), (2,)): False,
        ("7.2.0", ("a",), ()): False,
        ("7.2.0", ("a",), (3,)): False,
    }
    for (version, properties, mes), refused in cases.items():
        gpus = machine(dict.fromkeys(properties, 1), *mes)
        assert (policy.check_host(version, gpus, "gfx1151", "x")[1] is not None) is refused


@pytest.mark.parametrize(
    ("more", "where", "fix"),
    [
        ({"verdict": "refuze"}, "host (r).verdict", "Did you mean 'refuse'?"),
        ({"kernel_export": "a"}, "host (r)", "Did you mean 'kernel_exports'?"),
        ({"releases": ["newest"]}, "host (r).releases", "<7.2 or ==7.9.*"),
        ({"releases": ["7.2"]}, "host (r).releases", "<7.2 or ==7.9.*"),
        ({"mes_firmware": ["0x83"]}, "host (r).mes_firmware[0]", ""),
        ({"sources": []}, "host (r).sources", ""),
    ],
)
def test_a_bad_rule_names_file_rule_and_key(
    home: Home, more: dict[str, Any], where: str, fix: str
) -> None:
    with pytest.raises(DataError) as caught:
        with_rule(home, **more)
    assert caught.value.where == f"{home.root / 'policy.toml'}: {where}"
    assert fix in caught.value.fix
