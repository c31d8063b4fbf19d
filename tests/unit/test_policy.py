"""ROCm 7.0.1 stays out, wherever it shows itself; what is not ROCm's version passes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from strixforge.model.errors import DataError, PolicyError
from strixforge.model.lock import load_lock
from strixforge.model.policy import Evidence, load_policy, release_of, versions_in_location
from strixforge.policy import Policy, in_choice, in_environment, in_pin
from strixforge.toolchain.identity import versions
from tests.unit.home import HASH, Home, toml_file

ROOT = Path(__file__).parents[2]
WRITTEN = [
    *("7.0.1", "7.0.1-42", "7.0.1rc20250901", "7.0.1.dev0+abc", "rocm-7.0.1", "v7.0.1"),
    *("rocm-v7.0.1", "ROCm 7.0.1", "hip_7.0.1", "7.0.1a20250901", "7.0.1~pre1", "7.0.1.post1"),
    *("7.0.1.70001-42~24.04", "1:7.0.1-42", "1!7.0.1", "07.00.01", " 7.0.1\n", "\ufeff7.0.1"),
    *("therock-7.0.1", "amdrocm7.0.1", '"7.0.1"', "7.0.1.20250901123456"),
]
OTHERS = [
    *("6.4.4", "7.0.2", "7.10.0", "10.0.0", "17.0.1", "7.0.10", "7.0.0", "7.0", "7.1.0", "0.7.0.1"),
    *("7.0.0rc1", "6.4.4-129", "7.9.0rc1", "7.0.100000000000", "foo", "", "torch-7.0.1"),
]
# The forms of /tarball, /whl, apt, rpm and GitHub that AMD has used, with 7.0.1 put in.
REFUSED = [
    (
        "https://github.com/ROCm/TheRock/releases/download/nightly-tarball/"
        "therock-dist-linux-gfx1151-7.0.1rc20250901.tar.gz"
    ),
    (
        "https://therock-nightly-tarball.s3.us-east-2.amazonaws.com/"
        "therock-dist-linux-gfx1151-7.0.1a20260109.tar.gz"
    ),
    "https://rocm.nightlies.amd.com/tarball/therock-dist-linux-gfx1151-7.0.1.tar.gz",
    "https://rocm.nightlies.amd.com/tarball-multi-arch/therock-dist-linux-multiarch-7.0.1.tar.gz",
    "https://repo.amd.com/rocm/tarball/therock-dist-linux-gfx1151-7.0.1.tar.gz",
    "https://repo.amd.com/rocm/tarball/therock-dist-linux-gfx94X-dcgpu-7.0.1.tar.gz",
    "https://repo.amd.com/rocm/tarball/therock-dist-linux-gfx94X-dcgpu-tests-7.0.1.tar.gz",
    "https://stable.repo.amd.com/rocm/core/tarball/therock-dist-linux-gfx1151-7.0.1.tar.gz",
    "https://stable.repo.amd.com/rocm/core/tarball/7.0.1/dist.tar.gz",
    "https://nightly.repo.amd.com/rocm/core/packages/deb/7.0.1/pool/x.deb",
    "https://repo.amd.com/rocm/packages-multi-arch/ubuntu2404/7.0.1/",
    "https://rocm.nightlies.amd.com/v2/gfx1151/rocm-7.0.1a20260513.tar.gz",
    "https://x/rocm_sdk_core-7.0.1a20260513-py3-none-linux_x86_64.whl",
    "https://x/rocm_sdk_devel-7.0.1-py3-none-linux_x86_64.whl",
    "https://x/rocm_sdk_libraries_gfx1151-7.0.1-py3-none-linux_x86_64.whl",
    "https://x/rocm_sdk_libraries_gfx94x_dcgpu-7.0.1-py3-none-linux_x86_64.whl",
    "https://x/rocm_sdk_device_gfx1151-7.0.1-py3-none-linux_x86_64.whl",
    "https://x/torch-2.9.1%2Brocm7.0.1a20260513-cp312-cp312-linux_x86_64.whl",
    "https://x/triton-3.4.0+git12345678-rocm7.0.1-cp312-cp312-linux_x86_64.whl",
    "https://x/torch-2.9.0+devrocm7.0.1.dev0-abc-cp312-cp312-linux_x86_64.whl",
    "https://repo.radeon.com/rocm/apt/7.0.1",
    "https://repo.radeon.com/rocm/apt/7.0.1/pool/main/r/rocm-llvm/x.deb",
    "https://repo.radeon.com/rocm/el9/7.0.1/main",
    "https://repo.radeon.com/amdgpu/7.0.1/ubuntu",
    "https://repo.radeon.com/amdgpu-install/7.0.1/ubuntu/noble/x.deb",
    "https://repo.radeon.com/amdgpu-install/7.0.1/el/9.6/x.rpm",
    "amdgpu-install_7.0.70001-1_all.deb",
    "amdgpu-install-7.0.70001-1.el9.noarch.rpm",
    "rocm-llvm_20.0.0.25314.70001-42~22.04_amd64.deb",
    "rocprim-dev_3.4.1.70001-42~24.04_amd64.deb",
    "rocm-core_7.0.1.70001-42~24.04_amd64.deb",
    "rocm-core7.0.1_7.0.1.70001-42~24.04_amd64.deb",
    "amdrocm-core-sdk_7.0.1-1_amd64.deb",
    "https://repo.radeon.com/rocm/manylinux/rocm-rel-7.0.1/torch.whl",
    (
        "https://repo.radeon.com/rocm/manylinux/rocm-rel-6.4.4/"
        "torch-2.8.0%2Brocm7.0.1.gitc1404424-cp312-cp312-linux_x86_64.whl"
    ),
    "https://github.com/ROCm/rocBLAS/archive/refs/tags/rocm-7.0.1.tar.gz",
    "https://github.com/ROCm/ROCm/archive/refs/tags/7.0.1.tar.gz",
    "https://github.com/ROCm/rocm-libraries/releases/download/therock-7.0.1/rocblas.tar.gz",
    "https://github.com/ROCm/TheRock/archive/refs/tags/v7.0.1.zip",
    "https://github.com/ROCm/HIP/archive/7.0.1.tar.gz",
    "https://example.org/get?file=therock-dist-linux-gfx1151-7.0.1.tar.gz",
    "https://example.org/x#egg=rocm-7.0.1",
    "https://example.org/a%2Frocm-7.0.1%2Fb",
    "http://[half/rocm-7.0.1",
    *("/opt/rocm-7.0.1", "/opt/rocm-7.0.1/bin", "/opt/rocm/core-7.0.1", "/opt/#x/rocm-7.0.1"),
    *("/opt/rocm/7.0.1", "/usr/local/ROCm-7.0.1/", "examples/rocm-7.0.1", "opt/rocm7.0.1"),
]
PASSES = [
    "https://repo.amd.com/rocm/whl/gfx1151/foo-7.0.1-py3-none-any.whl",
    "https://rocm.nightlies.amd.com/whl/foo-7.0.1.tar.gz",
    "https://repo.amd.com/rocm/whl/foo/7.0.1/foo-7.0.1-py3-none-any.whl",
    "https://files.example.org/packages/hip_python-7.0.1-cp312-none-any.whl",
    "https://x/pytorch_triton_rocm-7.0.1-cp312-cp312-linux_x86_64.whl",
    "https://x/hipblaslt-7.0.1.tar.gz",
    "https://x/rocm_smi-7.0.1.tar.gz",
    "https://x/torch-7.0.1+cpu.whl",
    "https://x/torch-7.0.1+rocm6.4.4-cp312-cp312-linux_x86_64.whl",
    "https://github.com/ROCm/composable_kernel/archive/refs/tags/7.0.1.tar.gz",
    "https://github.com/ROCm/aotriton/releases/download/7.0.1/aotriton-7.0.1.tar.gz",
    "https://github.com/vllm-project/vllm/archive/7.0.1.tar.gz",
    (
        "https://repo.radeon.com/rocm/apt/6.4.4/pool/main/r/rocm-llvm/"
        "rocm-llvm_19.0.0.25224.60404-129~22.04_amd64.deb"
    ),
    "https://repo.amd.com/rocm/tarball/therock-dist-linux-gfx1151-17.0.1.tar.gz",
    "https://repo.amd.com/rocm/tarball/therock-dist-linux-gfx1151-7.0.10.tar.gz",
    *("/opt/rocm-7.0.10", "/opt/rocm-17.0.1", "/opt/rocm-7.0.2/llvm-7.0.1", "/opt/rocm"),
    *("/opt/microcm-7.0.1", "foo_1.2.170001-1_all.deb", "linux-image-7.0.1-rocm"),
]


@pytest.fixture
def policy(home: Home) -> Policy:
    home.pin("rocm", "6.4.4")
    file = ROOT / "policy.toml"
    return Policy(load_policy(file), file, home.lock())


def located(text: str) -> list[Evidence]:
    return [Evidence(product, version, text) for product, version in versions_in_location(text)]


@pytest.mark.parametrize("version", WRITTEN)
@pytest.mark.parametrize("product", ["rocm", "therock", "hip"])
def test_7_0_1_is_refused_however_it_is_written(policy: Policy, product: str, version: str) -> None:
    with pytest.raises(PolicyError):
        policy.check([Evidence(product, version, "here")])


@pytest.mark.parametrize("version", OTHERS)
def test_other_numbers_are_not_taken_for_it(policy: Policy, version: str) -> None:
    assert policy.check([Evidence("rocm", version, "here")]) == []


@pytest.mark.parametrize("location", REFUSED)
def test_7_0_1_is_refused_in_every_form_of_address_and_file_name(
    policy: Policy, location: str
) -> None:
    with pytest.raises(PolicyError):
        policy.check(located(location))
    assert policy.check(located(location.replace("7.0.1", "7.0.2").replace("70001", "70002"))) == []
    if "7.0.1" in location:
        assert (
            policy.check(located(location.replace("7.0.1", "17.0.1").replace("70001", "2"))) == []
        )


@pytest.mark.parametrize("location", PASSES)
def test_a_number_that_is_not_rocms_passes(policy: Policy, location: str) -> None:
    assert policy.check(located(location)) == []


def test_a_refusal_names_rule_place_reason_source_and_the_stack_to_use(policy: Policy) -> None:
    with pytest.raises(PolicyError) as caught:
        policy.check([Evidence("rocm", "7.0.1-42", "/opt/rocm/.info/version")])
    error = caught.value
    assert error.what == "rocm 7.0.1-42 is not used: rule rocm-7.0.1."
    assert "/opt/rocm/.info/version" in error.where
    assert "policy.toml" in error.where
    assert "source: " in error.cause
    assert "stack=main" in error.fix


def test_a_stack_that_is_refused_itself_is_not_offered(home: Home) -> None:
    home.pin("rocm", "7.0.1")
    policy = Policy(load_policy(ROOT / "policy.toml"), ROOT / "policy.toml", home.lock())
    with pytest.raises(PolicyError) as caught:
        policy.check([Evidence("hip", "7.0.1", "x")])
    assert caught.value.fix == "No stack of the lock passes the policy; pin another version."


@pytest.mark.parametrize(
    ("component", "version", "more"),
    [
        ("rocm", "7.0.1", {}),
        ("rocm", "7.0.1rc20250901", {}),
        ("therock", "7.0.1.dev0", {}),
        ("hip", "7.0.1", {}),
        ("rocm_sdk_core", "7.0.1", {}),
        ("torch", "2.8.0+rocm7.0.1", {}),
        ("toolchain", "1.0", {"source": "index", "name": "rocm-sdk-core", "sha256": HASH}),
        ("rocm", "1.0", {"source": "local", "path": "examples/rocm-7.0.1"}),
        ("tool", "1.0", {"source": "archive", "url": REFUSED[0], "sha256": HASH}),
        ("hipblaslt", "1.0", {"source": "git", "url": "https://x/y", "ref": "rocm-7.0.1"}),
        ("rocm", "7.0.2", {"source": "git", "url": "https://x/y", "ref": "v7.0.1"}),
        ("therock", "7.0.2", {"source": "git", "url": "https://x/y", "ref": "refs/tags/7.0.1"}),
    ],
)
def test_a_pin_is_refused_by_version_name_address_path_and_ref(
    home: Home, policy: Policy, component: str, version: str, more: dict[str, Any]
) -> None:
    if more.get("name"):
        version = "7.0.1"
    home.lock_file.write_text(home.lock_file.read_text().split("[[")[0])
    home.pin(component, version, **more)
    (pin,) = home.lock().stack("main").pins
    with pytest.raises(PolicyError, match=r"rocm-7\.0\.1") as caught:
        policy.check(in_pin(pin, str(home.lock_file)))
    assert f"{home.lock_file}: pin of {component}" in caught.value.where


def test_a_pin_of_something_else_at_7_0_1_passes(home: Home, policy: Policy) -> None:
    home.pin("vllm", "7.0.1")
    home.pin("tool", "7.0.1", source="git", url="https://github.com/x/tool", ref="v7.0.1")
    for pin in home.lock().stack("main").pins:
        assert policy.check(in_pin(pin, "lock")) == []


def test_a_version_asked_for_on_the_command_line_is_refused(policy: Policy) -> None:
    with pytest.raises(PolicyError, match=r"7\.0\.1"):
        policy.check(in_choice({"rocm": "7.0.1"}))
    with pytest.raises(PolicyError):
        policy.check(in_choice({"torch": "2.8.0+rocm7.0.1"}))
    assert policy.check(in_choice({"vllm": "7.0.1", "rocm": "7.0.2"})) == []


def toolchain(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return root


@pytest.mark.parametrize("text", ["7.0.1-42\n", "7.0.1", "\ufeff7.0.1\n", "rocm-7.0.1"])
@pytest.mark.parametrize("name", [".info/version", ".info/version-dev"])
def test_an_unpacked_toolchain_is_refused_by_its_info_version(
    tmp_path: Path, policy: Policy, name: str, text: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        policy.check_toolchain(toolchain(tmp_path / "t", name, text))
    assert name in caught.value.where


@pytest.mark.parametrize("key", ["rocm_package_version", "rocm_version"])
@pytest.mark.parametrize("folder", ["share/therock/", ""])
def test_an_unpacked_toolchain_is_refused_by_therocks_manifest(
    tmp_path: Path, policy: Policy, folder: str, key: str
) -> None:
    text = json.dumps({"the_rock_commit": "0" * 40, key: "7.0.1rc20250901", "flags": {}})
    root = toolchain(tmp_path / "t", f"{folder}therock_manifest.json", text)
    with pytest.raises(PolicyError, match=r"7\.0\.1rc20250901") as caught:
        policy.check_toolchain(root)
    assert key in caught.value.where


def test_a_toolchain_of_another_version_passes(tmp_path: Path, policy: Policy) -> None:
    root = toolchain(tmp_path / "t", ".info/version", "6.4.4-129\n")
    manifest = {"the_rock_commit": "7.0.1", "rocm_version": "10.0.0", "flags": {"7.0.1": True}}
    toolchain(root, "share/therock/therock_manifest.json", json.dumps(manifest))
    assert policy.check_toolchain(root) == []
    assert versions(tmp_path / "nothing here") == []


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    root = toolchain(tmp_path / "t", "share/therock/therock_manifest.json", text)
    with pytest.raises(PolicyError, match="cannot be read") as caught:
        versions(root)
    assert "therock_manifest.json" in caught.value.where


def test_a_manifest_may_hold_any_json(tmp_path: Path) -> None:
    contents: list[Any] = [[], 5, None, {"rocm_version": 7}, {"x": "7.0.1"}]
    for number, content in enumerate(contents):
        name = "share/therock/therock_manifest.json"
        root = toolchain(tmp_path / str(number), name, json.dumps(content))
        assert versions(root) == []


@pytest.mark.parametrize("variable", ["ROCM_PATH", "ROCM_HOME", "HIP_PATH"])
def test_a_rocm_of_the_host_is_refused_by_name_by_link_and_by_content(
    tmp_path: Path, policy: Policy, variable: str
) -> None:
    plain = toolchain(tmp_path / "opt/rocm-plain", ".info/version", "7.0.1-42\n")
    named = tmp_path / "opt" / "rocm-7.0.1"
    named.mkdir()
    link = tmp_path / "opt" / "rocm"
    link.symlink_to(named)
    for path in (plain, named, link):
        with pytest.raises(PolicyError) as caught:
            policy.check(in_environment({variable: str(path)}))
        assert str(path) in caught.value.where
    assert policy.check(in_environment({variable: str(tmp_path), "PATH": str(named)})) == []
    assert in_environment({}) == in_environment({variable: ""}) == []


def test_a_rocm_path_that_goes_round_in_circles_is_no_traceback(tmp_path: Path) -> None:
    loop = tmp_path / "rocm"
    loop.symlink_to(loop)
    assert in_environment({"ROCM_PATH": str(loop)}) == []


def test_a_warning_rule_warns_once(home: Home) -> None:
    home.pin("rocm", "7.0.2")
    file = home.write("policy.toml", rule(verdict="warn", releases=["7.0.2"]))
    policy = Policy(load_policy(file), file, home.lock())
    found = [Evidence("rocm", "7.0.2", "a"), Evidence("rocm", "7.0.2", "b")]
    assert policy.check(found) == ["rocm 7.0.2: because (r)"]


def rule(**more: object) -> str:
    whole = {"id": "r", "verdict": "refuse", "products": ["rocm"], "releases": ["7.0.1"]}
    return toml_file({"rule": [whole | {"reason": "because", "sources": ["s"]} | more]})


@pytest.mark.parametrize(
    ("more", "where", "fix"),
    [
        ({"verdict": "refuze"}, "rule (r).verdict", "Did you mean 'refuse'?"),
        ({"products": ["rocn"]}, "rule (r).products[0]", "Did you mean 'rocm'?"),
        ({"release": []}, "rule (r)", "Did you mean 'releases'?"),
        ({"releases": ["newest"]}, "rule (r).releases", "such as 7.0.1"),
        ({"sources": []}, "rule (r).sources", ""),
    ],
)
def test_a_bad_rule_names_file_rule_and_key(
    home: Home, more: dict[str, Any], where: str, fix: str
) -> None:
    file = home.write("policy.toml", rule(**more))
    with pytest.raises(DataError) as caught:
        load_policy(file)
    assert caught.value.where == f"{file}: {where}"
    assert fix in caught.value.fix


def test_two_rules_cannot_have_one_name(home: Home) -> None:
    one = rule().removeprefix('"rule" = [').rstrip("]\n")
    file = home.write("policy.toml", f"rule = [{one}, {one}]")
    with pytest.raises(DataError, match="two rules are named 'r'"):
        load_policy(file)


@given(st.text(max_size=60))
def test_any_text_can_be_asked_for_its_versions(text: str) -> None:
    release_of(text)
    for product, version in versions_in_location(text):
        assert product in ("rocm", "therock", "hip")
        assert release_of(version) is not None


@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 200),
    st.sampled_from(["", "-42", "rc20250901", "a20260101", ".dev0+abc", "~pre1", ".tar.gz", "/x"]),
    st.sampled_from(["", "rocm-", "v", "therock-dist-linux-gfx1151-", "rocm_sdk_core-"]),
)
def test_a_release_is_read_back_as_it_was_written(
    major: int, minor: int, patch: int, after: str, before: str
) -> None:
    written = f"{major}.{minor}.{patch}"
    if before in ("", "rocm-", "v"):
        assert release_of(before + written + after) == Version(written)
    if before not in ("", "v"):
        found = list(versions_in_location(f"https://example.org/{before}{written}{after}"))
        assert [version for _, version in found] == [written]


def test_no_stack_of_the_projects_own_lock_is_refused() -> None:
    file = ROOT / "policy.toml"
    lock = load_lock(ROOT / "toolchain.lock")
    policy = Policy(load_policy(file), file, lock)
    for stack in lock.stacks.values():
        for pin in stack.pins:
            policy.check(in_pin(pin, "toolchain.lock"))
