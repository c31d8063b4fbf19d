"""[[combination]] of policy.toml: pins, kernel and firmware together, in a made sysfs."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from strixforge.host.gpu import Host, find_gpus
from strixforge.model.errors import DataError, PolicyError
from strixforge.model.policy import load_policy
from strixforge.opening import open_workspace
from strixforge.policy import Policy
from tests.unit.home import Home, toml_file

WHOLE = {
    "id": "c",
    "verdict": "refuse",
    "confidence": "A",
    "reason": "it hangs",
    "sources": ["one", "two"],
    "expires": "2999-01-01",
    "pins": ["pytorch>=2.12"],
}
VERSIONS = {"pytorch": "2.12.1", "rocm": "6.4.4"}
DAY = dt.date(2026, 11, 28)
YESTERDAY = (DAY - dt.timedelta(days=1)).isoformat()
TODAY = DAY.isoformat()


def written(home: Home, *combinations: dict[str, Any]) -> Path:
    whole = [
        {key: value for key, value in (WHOLE | one).items() if value is not None}
        for one in combinations
    ]
    return home.write("policy.toml", toml_file({"rule": [], "combination": whole}))


def policy(home: Home, *combinations: dict[str, Any]) -> Policy:
    file = written(home, *combinations)
    if "[[stack.main.pin]]" not in home.lock_file.read_text():
        home.pin("pytorch", "2.12.1")
    return Policy(load_policy(file), file, home.lock(), DAY)


def machine(
    sysfs: Path, kernel: str = "6.17.0-22-generic", *, mes: str = "0x00000080", **properties: int
) -> Host:
    """Return a machine with one Strix Halo, as the kernel shows it in `sysfs`."""
    node = sysfs / "class/kfd/kfd/topology/nodes/1/properties"
    node.parent.mkdir(parents=True)
    lines = {"gfx_target_version": 110501, **properties}
    node.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
    firmware = sysfs / "class/drm/card1/device/fw_version/mes_fw_version"
    firmware.parent.mkdir(parents=True)
    firmware.write_text(f"{mes}\n")
    return Host(find_gpus(sysfs), kernel)


def test_a_refusal_says_why_and_where(home: Home) -> None:
    warnings, refusal = policy(home, {}).check_combinations(VERSIONS, "gfx1151", None)
    assert warnings == []
    assert isinstance(refusal, PolicyError)
    assert refusal.what == "this combination does not work: c."
    assert refusal.where == f"pytorch>=2.12\nrule: {home.root / 'policy.toml'}"
    assert refusal.cause == "it hangs\nsource: one\nsource: two"
    assert "./doit policy" in refusal.fix


@pytest.mark.parametrize(
    "versions", [{}, {"pytorch": "2.11.0"}, {"pytorch": "2.12.0rc1"}, {"torch": "2.12"}]
)
def test_other_pins_are_none_of_its_business(home: Home, versions: dict[str, str]) -> None:
    assert policy(home, {}).check_combinations(versions, "gfx1151", None) == ([], None)


@pytest.mark.parametrize("confidence", ["B", "C"])
def test_one_project_or_one_user_does_not_refuse(home: Home, confidence: str) -> None:
    with pytest.raises(DataError, match=f"confidence {confidence} does not refuse") as caught:
        policy(home, {"confidence": confidence})
    assert caught.value.where.endswith("combination (c).verdict")
    warnings, refusal = policy(
        home, {"confidence": confidence, "verdict": "warn"}
    ).check_combinations(VERSIONS, "gfx1151", None)
    assert (warnings, refusal) == (["warn: it hangs (c)"], None)


def test_after_its_day_a_refusal_is_a_warning(home: Home) -> None:
    found = policy(home, {"expires": YESTERDAY}).check_combinations(VERSIONS, "gfx1151", None)
    assert found == ([f"refuse: it hangs (c; to be looked at again since {YESTERDAY})"], None)


def test_on_its_last_day_it_still_refuses(home: Home) -> None:
    found = policy(home, {"expires": TODAY}).check_combinations(VERSIONS, "gfx1151", None)
    assert found[1] is not None


@pytest.mark.parametrize(
    ("verdict", "warnings"),
    [("good", []), ("degraded", ["degraded: it hangs (c)"]), ("warn", ["warn: it hangs (c)"])],
)
def test_other_verdicts_never_refuse(home: Home, verdict: str, warnings: list[str]) -> None:
    found = policy(home, {"verdict": verdict}).check_combinations(VERSIONS, "gfx1151", None)
    assert found == (warnings, None)


def test_the_first_refusal_and_every_warning_are_told(home: Home) -> None:
    warnings, refusal = policy(
        home, {"id": "a"}, {"id": "b"}, {"id": "w", "verdict": "warn"}
    ).check_combinations(VERSIONS, "gfx1151", None)
    assert refusal is not None
    assert refusal.what.endswith(": a.")
    assert warnings == ["warn: it hangs (w)"]


def test_a_target_is_a_condition(home: Home) -> None:
    rules = policy(home, {"gpu": "gfx1151"})
    assert rules.applying(VERSIONS, "gfx1151", None)
    assert not rules.applying(VERSIONS, "gfx1201", None)


@pytest.mark.parametrize(
    ("kernel", "release", "applies"),
    [
        (["<6.18.4"], "6.17.0-22-generic", True),
        (["<6.18.4"], "6.18.4-arch1-1", False),
        ([">=6.18", "<6.18.4"], "6.18.3", True),
        ([">=6.18", "<6.18.4"], "6.17.9", False),
        (["<7"], "6.14.0+", True),
        (["<7"], "unknown", False),
    ],
)
def test_the_running_kernel(
    home: Home, tmp_path: Path, kernel: list[str], release: str, applies: bool
) -> None:
    host = machine(tmp_path / "sys", release)
    found = policy(home, {"kernel": kernel, "pins": None}).applying({}, "gfx1151", host)
    assert bool(found) is applies


@pytest.mark.parametrize(
    ("asked", "applies"),
    [
        ({"kernel_exports": "cwsr_size"}, True),
        ({"kernel_exports": "other"}, False),
        ({"kernel_lacks": "cwsr_size"}, False),
        ({"kernel_lacks": "other"}, True),
        ({"mes_firmware": [0x83, 0x84]}, True),
        ({"mes_firmware": [0x82]}, False),
        ({"kernel_exports": "cwsr_size", "mes_firmware": [0x82]}, False),
        ({"kernel_exports": "cwsr_size", "kernel": ["<6"]}, False),
    ],
)
def test_properties_of_the_kernels_node_and_firmware(
    home: Home, tmp_path: Path, asked: dict[str, Any], applies: bool
) -> None:
    host = machine(tmp_path / "sys", mes="0x00000083", cwsr_size=17616896)
    assert bool(policy(home, asked).applying(VERSIONS, "gfx1151", host)) is applies


def test_what_runs_elsewhere_is_not_held_against_this_machine(home: Home) -> None:
    assert not policy(home, {"kernel": ["<7"]}).applying(VERSIONS, "gfx1151", None)


def test_a_machine_without_the_gpu_is_not_spoken_of(home: Home, tmp_path: Path) -> None:
    host = machine(tmp_path / "sys")
    assert not policy(home, {"kernel": ["<7"]}).applying(VERSIONS, "gfx1201", host)
    assert not policy(home, {"kernel": ["<7"]}).applying(
        VERSIONS, "gfx1151", Host(find_gpus(tmp_path / "no"), "6.17.0")
    )


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"expires": "2026-02-30"}, "combination (c).expires"),
        ({"expires": "soon"}, "combination (c).expires"),
        ({"confidence": "D"}, "combination (c).confidence"),
        ({"verdict": "refuze"}, "combination (c).verdict"),
        ({"sources": []}, "combination (c).sources"),
        ({"pins": ["pytorch > "]}, "combination (c).pins"),
        ({"kernel": ["6.18"]}, "combination (c).kernel"),
        ({"kernl": ["<6.18"]}, "combination (c)"),
        ({"pins": []}, "combination (c)"),
        ({"pins": [], "gpu": "gfx1151"}, "combination (c)"),
    ],
)
def test_a_bad_combination_names_its_key(home: Home, more: dict[str, Any], key: str) -> None:
    with pytest.raises(DataError) as caught:
        policy(home, more)
    assert caught.value.where == f"{home.root / 'policy.toml'}: {key}"


def test_two_of_one_name_are_refused(home: Home) -> None:
    with pytest.raises(DataError, match="two combinations are named 'c'"):
        policy(home, {}, {})


def test_a_refused_combination_opens_but_builds_nothing(home: Home) -> None:
    written(home, {"pins": ["tool>=1"]})
    home.component("tool")
    ws = open_workspace(home.root, {}, {})
    assert "this combination does not work: c. Nothing is built" in ws.warnings[-1]
    with pytest.raises(PolicyError, match="does not work: c"):
        ws.require_allowed()


def test_warnings_of_combinations_are_the_runs(home: Home) -> None:
    written(home, {"pins": ["tool>=1"], "verdict": "degraded"})
    home.component("tool")
    assert "degraded: it hangs (c)" in open_workspace(home.root, {}, {}).warnings
