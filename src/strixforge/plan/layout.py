"""The paths that every sandbox shows, the same on every machine.

Fixed paths make `__FILE__`, RPATHs, clang's CUID and compiler-cache hits the same everywhere.
"""

SRC = "/strixforge/src"
BUILD = "/strixforge/build"
OUT = "/strixforge/out"
ENV = "/strixforge/env"
DEPS = "/strixforge/deps"
ROCM = "/opt/rocm"
CCACHE = "/strixforge/ccache"

CONTRACT = 2
"""Version of what a sandbox promises to a build. A change of it rebuilds everything."""


def prefix(component: str) -> str:
    """Return where a needed component lies inside the sandbox; a toolchain has its own place."""
    return f"{DEPS}/{component}"
