"""What tests need of the machine, beside the GPU."""

import shutil
import sys
import sysconfig
from pathlib import Path

CANNOT = 77
"""Tells that the machine cannot run the test, whatever it tests."""


def require_compiler() -> None:
    """End with 77 where Triton cannot compile what launches its kernels on the host.

    Sources: triton-lang/triton, python/triton/runtime/build.py (a C compiler by the names below)
    and third_party/amd/backend/driver.py (Python.h).
    """
    lacks = []
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        lacks.append("a C compiler (Debian: gcc)")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        lacks.append("Python.h (Debian: python3-dev)")
    if lacks:
        print("Triton needs on this machine:", " and ".join(lacks))
        sys.exit(CANNOT)
