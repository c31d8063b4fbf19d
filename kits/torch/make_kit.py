"""Makes of the package in a torch wheel what the device code of an extension is compiled against.

The wheel on the package index is built for CUDA. Its headers are PyTorch's own, and PyTorch's own
hipify, which lies in the same wheel, turns them into those of a ROCm build; the wheel of a ROCm
build has them. Beside them comes what an extension's CMakeLists.txt asks of an installed torch: a
Python package that knows its version, its flags and hipify, and a CMake package with the target
`torch`. Nothing of it can be run.

Usage: make_kit.py --wheel FOLDER --out FOLDER --hip VERSION
FOLDER is the package `torch` out of a wheel, or holds one wheel.
"""

import argparse
import ast
import io
import shutil
import sys
import zipfile
from contextlib import redirect_stdout
from pathlib import Path

# hipify knows PyTorch's files by their places in its repository, which are others in the wheel.
PLACES = {"ATen": "aten/src/ATen", "c10": "c10", "torch": "torch"}
# What tools/amd_build/build_amd.py of PyTorch 2.6 and 2.9 hands to hipify, of headers.
INCLUDES = (
    "aten/src/ATen/cuda/*",
    "aten/src/ATen/native/cuda/*",
    "aten/src/ATen/native/sparse/cuda/*",
    "aten/src/ATen/native/quantized/cuda/*",
    "aten/src/ATen/native/nested/cuda/*",
    "c10/cuda/*",
    "torch/*",
)
IGNORES = ("*/hip/*", "aten/src/ATen/core/*", "aten/src/ATen/cuda/CUDAConfig.h")
# ATen/hip/HIPConfig.h of a ROCm build, from ATen/cuda/CUDAConfig.h.in.
CONFIG = {
    "AT_CUDNN_ENABLED": 0,
    "AT_CUSPARSELT_ENABLED": 0,
    "AT_HIPSPARSELT_ENABLED": 0,
    "AT_ROCM_ENABLED": 1,
    "AT_MAGMA_ENABLED": 0,
}


def main() -> None:
    """Make the kit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hip", required=True)
    given = parser.parse_args()
    out = given.out
    torch = package_of(given.wheel, out / "wheel")
    version = version_of(torch / "version.py")
    counts = make_headers(torch, out / "include")
    write_python(torch, out / "python" / "torch", version, given.hip)
    write_cmake(out / "share" / "cmake" / "Torch", version, given.hip)
    (out / "bin").mkdir()
    for name in ("device-only", "compile_device.py"):
        shutil.copy(Path(__file__).parent / name, out / "bin")
    shutil.rmtree(out / "wheel", ignore_errors=True)
    print(f"torch {version} for HIP {given.hip}: {counts}")


def package_of(folder: Path, place: Path) -> Path:
    """Return the folder of the package: unpacked into `place`, where it comes in a wheel."""
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        return folder
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(place, [one for one in wheel.namelist() if one.startswith(WANTED)])
    return place / "torch"


# What of a wheel is needed; the libraries beside it are gigabytes.
WANTED = (
    "torch/include/",
    "torch/utils/cpp_extension.py",
    "torch/utils/hipify/",
    "torch/version.py",
)


def version_of(file: Path) -> str:
    """Return the release that torch/version.py states, without what is after the plus sign."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return str(ast.literal_eval(node.value)).split("+", maxsplit=1)[0]
    sys.exit(f"{file} states no __version__")


def make_headers(torch: Path, include: Path) -> str:
    """Copy the wheel's headers to `include`, with those of HIP that hipify makes of CUDA's."""
    shutil.copytree(torch / "include", include)
    if (include / "ATen" / "hip" / "HIPConfig.h").is_file():
        return f"as ROCm's build has them, {count_of(include)}"
    stage = include.parent / "stage"
    for name, place in PLACES.items():
        shutil.copytree(torch / "include" / name, stage / place)
    run_hipify(torch, stage)
    for name, place in PLACES.items():
        shutil.copytree(stage / place, include / name, dirs_exist_ok=True)
    shutil.rmtree(stage)
    lines = [f"#define {name}() {value}\n" for name, value in CONFIG.items()]
    config = include / "ATen" / "hip" / "HIPConfig.h"
    config.write_text("#pragma once\n" + "".join(lines) + '#define NVCC_FLAGS_EXTRA ""\n')
    return count_of(include)


def count_of(include: Path) -> str:
    """Return in words how many headers of HIP there are; too few end the program."""
    found = {name: len(list((include / name / "hip").rglob("*.*h"))) for name in ("ATen", "c10")}
    if min(found.values()) < 10:
        sys.exit(f"there are too few headers of HIP: {found}")
    return ", ".join(f"{count} headers in {name}/hip" for name, count in found.items())


def run_hipify(torch: Path, stage: Path) -> None:
    """Let PyTorch's hipify work over the staged headers."""
    sys.path.insert(0, str(torch / "utils"))
    from hipify import hipify_python

    with redirect_stdout(io.StringIO()):
        hipify_python.hipify(
            project_directory=str(stage),
            output_directory=str(stage),
            includes=[str(stage / one) for one in INCLUDES],
            ignores=[str(stage / one) for one in IGNORES],
            show_progress=False,
        )


def write_python(torch: Path, package: Path, version: str, hip: str) -> None:
    """Write the Python package: what build scripts import of torch without running anything."""
    flags = {name: flags_of(torch / "utils" / "cpp_extension.py", name) for name in FLAGS}
    files = {
        "__init__.py": "from . import utils, version\n\n__version__ = version.__version__\n",
        "version.py": f"__version__ = {version!r}\ncuda = None\nhip = {hip!r}\n",
        "utils/__init__.py": "from pathlib import Path\n\n"
        'cmake_prefix_path = str(Path(__file__).resolve().parents[3] / "share" / "cmake")\n',
        "utils/cpp_extension.py": "".join(f"{name} = {flags[name]!r}\n" for name in FLAGS),
    }
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    shutil.copytree(torch / "utils" / "hipify", package / "utils" / "hipify")


FLAGS = ("COMMON_HIP_FLAGS", "COMMON_HIPCC_FLAGS")


def flags_of(file: Path, name: str) -> list[str]:
    """Return a list of flags as cpp_extension.py states it, without running that."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return [str(one) for one in ast.literal_eval(node.value)]
    sys.exit(f"{file} states no {name}")


def write_cmake(folder: Path, version: str, hip: str) -> None:
    """Write the CMake package, with the numbers that only this build knows."""
    folder.mkdir(parents=True)
    major, minor = hip.split(".")[:2]
    hip_number = str(100 * int(major) + int(minor))
    numbers = {"@VERSION@": version, "@HIP_MAJOR@": major, "@HIP@": hip_number}
    for name in ("TorchConfig.cmake", "TorchConfigVersion.cmake"):
        text = (Path(__file__).parent / f"{name}.in").read_text(encoding="utf-8")
        for mark, number in numbers.items():
            text = text.replace(mark, number)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
