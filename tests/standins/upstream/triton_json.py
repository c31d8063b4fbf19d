"""A stand-in for JSON for Modern C++: the one header that Triton's build asks for."""

from pathlib import Path

from tests.standins.upstream.files import write_files

_HEADER = """#ifndef INCLUDE_NLOHMANN_JSON_HPP_
#define INCLUDE_NLOHMANN_JSON_HPP_

#define NLOHMANN_JSON_STANDIN "{0}"

#endif
"""


def write(folder: Path, version: str) -> None:
    """Write the headers."""
    write_files(folder, {"include/nlohmann/json.hpp": _HEADER.format(version)})
