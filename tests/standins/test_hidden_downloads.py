"""Each download that upstream hides in a build: without the recipe's switch, the build ends."""

from dataclasses import dataclass

import pytest

from tests.standins.project import Standins

pytestmark = pytest.mark.slow  # the needs are built first

NETWORK, STEP = 20, 19


@dataclass(frozen=True)
class Hidden:
    """A switch of a recipe, taken away, and how the build ends then."""

    stack: str
    component: str
    old: str
    code: int
    said: str
    new: str = ""


HIDDEN = [
    Hidden("rocm-6.4.4", "hipblaslt", 'ROCM_FOUND              = "ON"', NETWORK, "github.com"),
    Hidden(
        "rocm-6.4.4", "hipblaslt", 'CMAKE_MODULE_PATH       = "{{ build }}/modules"', STEP, "venv"
    ),
    Hidden("rocm-6.4.4", "rocwmma", 'ROCWMMA_BUILD_TESTS   = "OFF"', NETWORK, "github.com"),
    Hidden("rocm-6.4.4", "rocwmma", 'ROCWMMA_BUILD_SAMPLES = "OFF"', NETWORK, "github.com"),
    Hidden("rocm-6.4.4", "triton", 'TRITON_OFFLINE_BUILD = "ON", ', NETWORK, "anaconda.org"),
    Hidden(
        "rocm-6.4.4",
        "triton",
        'LLVM_SYSPATH = "{{ triton_llvm.prefix }}", ',
        STEP,
        "LLVM_SYSPATH is not set",
    ),
    Hidden(
        "rocm-6.4.4", "triton", 'TRITON_BUILD_PROTON = "OFF", ', STEP, "JSON_SYSPATH is not set"
    ),
    Hidden(
        "therock",
        "triton",
        'JSON_SYSPATH = "{{ triton_json.prefix }}", ',
        STEP,
        "JSON_SYSPATH is not set",
    ),
    Hidden(
        "rocm-6.4.4",
        "aotriton",
        'AOTRITON_INHERIT_SYSTEM_SITE_TRITON = "ON", ',
        NETWORK,
        "oaitriton.blob.core.windows.net",
    ),
    Hidden("rocm-6.4.4", "aotriton", ', VENV_DIR = "/strixforge/env"', STEP, "pip"),
    Hidden("therock", "aotriton", 'PIP_FIND_LINKS = "/strixforge/wheels", ', NETWORK, "setuptools"),
    Hidden("therock", "aotriton", "v3src/aiter tag ", NETWORK, "github.com", "v3src/aiter tag x"),
    Hidden(
        "rocm-6.4.4",
        "pytorch",
        'AOTRITON_INSTALLED_PREFIX = "{{ aotriton.prefix }}"',
        NETWORK,
        "github.com",
    ),
    Hidden(
        "therock",
        "pytorch",
        'AOTRITON_INSTALLED_PREFIX = "{{ aotriton.prefix }}"',
        NETWORK,
        "github.com",
    ),
    Hidden(
        "rocm-6.4.4",
        "flash_attn",
        'FLASH_ATTENTION_FORCE_BUILD       = "TRUE"',
        NETWORK,
        "github.com",
    ),
    Hidden(
        "therock",
        "vllm",
        ", TRITON_KERNELS_SRC_DIR = "
        '"{{ triton_kernels.prefix }}/python/triton_kernels/triton_kernels"',
        NETWORK,
        "github.com",
    ),
]


@pytest.mark.parametrize("one", HIDDEN, ids=lambda one: f"{one.component}-{one.old[:30]}")
def test_without_its_switch_a_download_ends_the_build(
    standins: Standins, first_runs: dict[str, str], one: Hidden
) -> None:
    del first_runs
    with standins.edited(f"recipes/{one.component}.toml", (one.old, one.new)):
        done = standins.doit(one.stack, f"build_{one.component}")
    assert done.code == one.code, done.text
    assert one.said in done.text + standins.log(one.stack, one.component)
    assert "Traceback" not in done.text


def test_without_rocm_cmake_in_the_toolchain_it_is_cloned(
    standins: Standins, first_runs: dict[str, str]
) -> None:
    """There is no switch for this one: the toolchain has to have it."""
    del first_runs
    compiled, without = "gcc -shared", 'rm -r "$out/share/rocm"\ngcc -shared'
    with standins.changed("rocm-6.4.4", "rocm", "assemble.sh", compiled, without):
        done = standins.doit("rocm-6.4.4", "build_hipblas_common")
    done.check(NETWORK, "github.com")
    standins.doit("rocm-6.4.4", "wheelhouse").check(0)  # as it was, for the other tests
