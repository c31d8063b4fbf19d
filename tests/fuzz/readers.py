"""A coverage-guided fuzzer over the readers of device code.

Usage: .venv/bin/python -m uv pip install --require-hashes -r tests/fuzz/requirements.lock
       .venv/bin/python -m tests.fuzz.readers [options of libFuzzer] [CORPUS]

    -max_total_time=600    ends after so many seconds
    -seed=1                the same run again

It ends with 77 and leaves a file crash-… where a reader raises, hangs or takes too much memory.
"""

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["strixforge.audit"]):
    from strixforge.audit import codeobjects, images
    from strixforge.audit.bounds import Budget

# Atheris mutates bytes; a name decides which reader gets them.
_NAMES = ("k.co", "lib.so", "w.whl", "p.deb", "t.tar", "t.tar.gz", "library/t.dat", "a.aks2")
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def one(data: bytes) -> None:
    """Read one input as a buffer, and as a file of each name that it asks for."""
    if not data:
        return
    for found in images.read(memoryview(data[1:]), "buffer", Budget.for_file(1 << 16)):
        assert found.where
    path = _FOLDER / _NAMES[data[0] % len(_NAMES)]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data[1:])
    for seen in codeobjects.survey(_FOLDER):
        assert seen.where
    path.unlink()


def seeds(folder: Path) -> None:
    """Write valid inputs of every kind to begin with."""
    from tests.unit.test_audit_report import real
    from tests.unit.test_codeobjects import bundle, compressed, fatbin, zipped
    from tests.unit.test_tars import FILES, tar

    plain = bundle(("hipv4-amdgcn-amd-amdhsa--gfx1151", real()), align=64)
    inputs = [real(), plain, compressed(plain), compressed(plain, version=3), fatbin(plain)]
    inputs += [zipped({"k.co": real(), "lib.so": fatbin(plain)}), tar({"k.co": real()}), tar(FILES)]
    for number, content in enumerate(inputs):
        for kind in range(len(_NAMES)):
            (folder / f"{number}-{kind}").write_bytes(bytes([kind]) + content)


def main() -> None:
    """Fuzz until libFuzzer's options end it."""
    corpus = [one for one in sys.argv[1:] if not one.startswith("-")]
    if not corpus:
        folder = Path(tempfile.mkdtemp(prefix="corpus-"))
        seeds(folder)
        sys.argv.append(str(folder))
    os.chdir(_FOLDER)
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
