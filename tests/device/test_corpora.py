"""Files with device code as today's hipcc and binutils make them, in the root sid."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from strixforge.audit.__main__ import NOT_FIT, main
from tests.demo.conftest import HOME, clean_environment

pytestmark = pytest.mark.slow

DOIT = str(Path(sys.executable).parent / "doit")
UNIT = """
#include <hip/hip_runtime.h>
extern "C" __global__ void NAME_store(float* a) { a[threadIdx.x] = 1; }
extern "C" __global__ void NAME_add(float* a) { a[threadIdx.x] += 2; }
"""
SCRIPT = r"""
cd /tmp
for name in one two; do sed "s/NAME/$name/g" /unit.hip > $name.hip; done
echo 'extern "C" int nothing() { return 1; }' > empty.hip
echo 'const char text[] = "gfx1151 amdgcn-amd-amdhsa--gfx1151";' > text.c
echo 'int kernel_gfx1151(void) { return text[3]; }' >> text.c
here="--offload-arch=gfx1151" other="--offload-arch=gfx1100"
library() { out=$1; shift; hipcc -shared -fPIC -O2 "$@" -o /out/$out; }
library several.so $here $other one.hip two.hip
library packed.so --offload-compress $here $other one.hip two.hip
library generic.so --offload-arch=gfx11-generic one.hip
library foreign.so --offload-compress $other --offload-arch=gfx90a:xnack+ one.hip
library empty.so $here empty.hip
hipcc -c -fPIC -O2 $here one.hip -o one.o
hipcc -c -fPIC -O2 $here two.hip -o two.o
ar rcs /out/static.a one.o two.o
strip --strip-all -o /out/stripped.so /out/several.so
/usr/lib/llvm-*/bin/clang -shared -fPIC text.c -o /out/text.so
hipcc --genco -O2 $here $other one.hip -o /out/bundle.co
hipcc --genco -O2 --no-gpu-bundle-output $here one.hip -o /out/raw.co
"""
HERE, OTHER = "gfx1151", "gfx1100"
EXPECTED = {
    # Two sources are two bundles in one section.
    "several.so": ({HERE: 2, OTHER: 2}, 4),
    "packed.so": ({HERE: 2, OTHER: 2}, 4),
    "stripped.so": ({HERE: 2, OTHER: 2}, 4),
    "static.a": ({HERE: 2}, 4),
    "generic.so": ({"gfx11-generic": 1}, 2),
    "bundle.co": ({HERE: 1, OTHER: 1}, 2),
    "raw.co": ({HERE: 1}, 2),
    "foreign.so": ({OTHER: 1, "gfx90a:xnack+": 1}, 0),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that were compiled, archived and stripped."""
    chosen = ("stack=rocm-6.4.4", "root=sid", "rocm=6.4.3")
    done = subprocess.run(
        [DOIT, *chosen, "build_sid"],
        cwd=HOME,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=1500,
    )
    if "is not in the archive any more" in done.stderr:
        pytest.skip("Debian sid has moved on since its packages were locked")
    assert done.returncode == 0, done.stdout + done.stderr
    state = json.loads((HOME / "build" / "state" / "rocm-6.4.4" / "sid.json").read_text())
    root = HOME / "build" / "store" / "objects" / str(state["output"]) / "tree"
    folder = tmp_path_factory.mktemp("made")
    unit = tmp_path_factory.mktemp("unit") / "unit.hip"
    unit.write_text(UNIT)
    done = subprocess.run(
        [
            *("bwrap", "--unshare-all", "--die-with-parent", "--tmpfs", "/"),
            *("--ro-bind", str(root / "usr"), "/usr", "--ro-bind", str(root / "etc"), "/etc"),
            *("--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
            *("--symlink", "usr/lib64", "/lib64", "--dev", "/dev", "--proc", "/proc"),
            *("--tmpfs", "/tmp", "--bind", str(folder), "/out", "--ro-bind", str(unit)),
            *("/unit.hip", "--clearenv", "--setenv", "PATH", "/usr/bin", "bash", "-euc", SCRIPT),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("name", EXPECTED)
def test_what_compilers_make_is_read_as_it_is(
    made: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    targets, kernels = EXPECTED[name]
    code = main([str(made / name), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == (0 if kernels else NOT_FIT), report
    found: dict[str, int] = {}
    for row in report["rows"]:
        assert row["unreadable"] == []
        for target, count in row["targets"].items():
            found[target] = found.get(target, 0) + count
    assert found == targets
    assert sum(row["kernels"] for row in report["rows"]) == kernels
    assert sum(row["hollow"] for row in report["rows"]) == 0


@pytest.mark.parametrize("name", ["empty.so", "text.so"])
def test_a_name_without_code_is_no_code(
    made: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert b"gfx1151" in (made / name).read_bytes() or name == "empty.so"
    assert main([str(made / name), "--json"]) == NOT_FIT
    report = json.loads(capsys.readouterr().out)
    assert sum(row["kernels"] for row in report["rows"]) == 0
    assert report["findings"] == ["There is no kernel for gfx1151."]


def test_a_compressed_library_for_others_alone_says_what_it_has(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert b"CCOB" in (made / "foreign.so").read_bytes()
    assert b"CCOB" in (made / "packed.so").read_bytes()
    assert main([str(made / "foreign.so")]) == NOT_FIT
    said = capsys.readouterr().out
    assert "gfx1100" in said
    assert "none for gfx1151" in said
