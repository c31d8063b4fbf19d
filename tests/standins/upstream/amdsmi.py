"""A stand-in for AMD SMI's bindings: functions of a library of ROCm's, looked up on import."""

from pathlib import Path

from tests.standins.upstream.files import write_files


def write(folder: Path, version: str) -> None:
    """Write the source tree of a version."""
    write_files(folder, FILES | {"pyproject.toml": PROJECT.replace("@VERSION@", version)})


PROJECT = """
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "amdsmi"
version = "@VERSION@"
requires-python = ">=3.6"
license = { text = "MIT" }

[tool.setuptools]
packages = ["amdsmi"]
"""

FILES = {
    "amdsmi/__init__.py": '''
"""Names, memory and links of GPUs."""

from .amdsmi_interface import (
    AmdSmiException,
    amdsmi_get_gpu_asic_info,
    amdsmi_get_processor_handles,
    amdsmi_init,
    amdsmi_shut_down,
    amdsmi_topo_get_link_type,
)
''',
    "amdsmi/amdsmi_interface.py": '''
"""What a program calls."""

from . import amdsmi_wrapper


class AmdSmiException(Exception):
    """The library said no."""


def _checked(code):
    if code:
        raise AmdSmiException(f"error {code}")


def amdsmi_init():
    """Start the library; fails where there is no driver."""
    _checked(amdsmi_wrapper.start())


def amdsmi_shut_down():
    """End it."""
    _checked(amdsmi_wrapper.stop())


def amdsmi_get_processor_handles():
    """Return one handle for each GPU."""
    return []


def amdsmi_get_gpu_asic_info(handle):
    """Return what is known of a GPU."""
    return {"market_name": f"GPU {handle}"}


def amdsmi_topo_get_link_type(one, other):
    """Return how two GPUs are linked."""
    raise AmdSmiException(f"no link between {one} and {other}")
''',
    # The real library is libamd_smi.so, which Debian's HIP is without; HSA's has these two.
    "amdsmi/amdsmi_wrapper.py": '''
"""Loads the library and looks up its functions."""

import ctypes
import os
from pathlib import Path

NAMES = ("libamd_smi.so", "libhsa-runtime64.so.1")


def _load():
    """Load it from ROCm's folder, else from wherever the loader finds it."""
    rocm = os.environ.get("ROCM_HOME") or os.environ.get("ROCM_PATH")
    for name in NAMES:
        here = Path(rocm, "lib", name) if rocm else None
        for place in ([str(here)] if here and here.exists() else []) + [name]:
            try:
                return ctypes.CDLL(place)
            except OSError:
                continue
    raise KeyError(f"none of {', '.join(NAMES)} can be loaded")


_library = _load()
start = getattr(_library, "amdsmi_init", None) or _library.hsa_init
stop = getattr(_library, "amdsmi_shut_down", None) or _library.hsa_shut_down
''',
}
