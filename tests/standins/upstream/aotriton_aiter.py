"""A stand-in for AITER's sources, of which AOTriton looks at one folder."""

from pathlib import Path

from tests.standins.upstream.files import write_files


def write(folder: Path, version: str) -> None:
    """Write the source."""
    write_files(
        folder,
        {"hsa/codegen.py": f'"""Code generation of AITER {version}."""\n', "LICENSE": "MIT\n"},
    )
