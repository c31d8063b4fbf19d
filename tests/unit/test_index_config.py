"""Where this machine takes Python packages from."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from strixforge.sources.index_config import as_url, index_config

ROOT = Path(__file__).parents[2]


def configure(machine: Path, text: str, place: str = ".config/pip/pip.conf") -> None:
    path = machine / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read(machine: Path, **environ: str) -> tuple[tuple[str, ...], tuple[str, ...], str | bool]:
    common = str(machine.parent / "xdg")
    given = {"HOME": str(machine), "XDG_CONFIG_DIRS": common, **environ}
    config = index_config(given, machine / "system.conf")
    return config.indexes, config.find_links, config.verify


def test_with_nothing_configured_the_librarys_own_default_is_taken(machine: Path) -> None:
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    assert read(machine) == ((PYPI_SIMPLE_ENDPOINT,), (), True)


def test_no_registry_host_is_written_in_the_code() -> None:
    listed = subprocess.run(
        [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "src",
            "recipes",
            "locks",
            "*.toml",
            "*.lock",
            "doit",
            "*.py",
            ".ci",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split()
    hosts = re.compile(r"(?<![\w.])(pypi\.org|pythonhosted\.org|pypi\.python)")
    ours = [ROOT / name for name in listed if not name.startswith("tests/")]
    assert len(ours) > 40
    found = [path for path in ours if path.is_file() and hosts.search(path.read_text("utf-8"))]
    assert found == []


def test_pips_files_are_read_and_their_lists_may_be_long(machine: Path) -> None:
    configure(
        machine,
        "[global]\nindex_url = https://a.example/simple\ncert = /etc/ca.pem\n"
        "extra-index-url =\n    https://b.example/simple\n    https://c.example/simple\n"
        "find-links = /wheels\n",
    )
    indexes, links, verify = read(machine)
    assert indexes == tuple(f"https://{one}.example/simple" for one in "abc")
    assert (links, verify) == (("/wheels",), "/etc/ca.pem")


def test_of_files_the_later_wins_and_of_sections_install(machine: Path) -> None:
    configure(machine, "[install]\nindex-url = https://old.example/\n", ".pip/pip.conf")
    configure(machine, "[global]\nindex-url = https://user.example/\n")
    assert read(machine)[0] == ("https://old.example/",)
    configure(machine, "[global]\nindex-url = https://one.example/\n", ".pip/pip.conf")
    assert read(machine)[0] == ("https://user.example/",)
    configure(machine, "[global]\nfind-links = /common\n", "../xdg/pip/pip.conf")
    assert read(machine)[1] == ("/common",)
    configure(machine, "[global]\nfind-links = /system\n", "system.conf")
    assert read(machine)[1] == ("/system",)


def test_a_named_file_stands_in_for_the_users_and_dev_null_for_all(machine: Path) -> None:
    configure(machine, "[global]\nindex-url = https://user.example/\nfind-links = /user\n")
    configure(machine, "[global]\nindex-url = https://named.example/\n", "named.conf")
    named = str(machine / "named.conf")
    assert read(machine, PIP_CONFIG_FILE=named)[:2] == (("https://named.example/",), ())
    assert read(machine, PIP_CONFIG_FILE=str(machine / "none"))[1] == ("/user",)
    assert "user.example" not in str(read(machine, PIP_CONFIG_FILE=os.devnull))


def test_variables_win_over_files_and_uvs_over_pips(machine: Path) -> None:
    configure(machine, "[global]\nindex-url = https://file.example/\n")
    pip = {"PIP_INDEX_URL": "https://pip.example/", "PIP_EXTRA_INDEX_URL": "https://e.example/"}
    assert read(machine, **pip)[0] == ("https://pip.example/", "https://e.example/")
    old = {**pip, "UV_INDEX_URL": "https://uv.example/", "UV_EXTRA_INDEX_URL": "https://f.example/"}
    assert read(machine, **old)[0] == ("https://uv.example/", "https://f.example/")
    new = {**old, "UV_DEFAULT_INDEX": "n=https://new.example/", "UV_INDEX": "https://g.example/"}
    assert read(machine, **new)[0] == ("https://new.example/", "https://g.example/")


def test_names_and_repeats_of_indexes_are_left_out(machine: Path) -> None:
    environ = {
        "UV_DEFAULT_INDEX": "https://a.example/?key=value",
        "UV_INDEX": "my-own=https://b.example/ https://a.example/?key=value",
    }
    assert read(machine, **environ)[0] == ("https://a.example/?key=value", "https://b.example/")


@pytest.mark.parametrize(("value", "left"), [("1", 0), ("true", 0), ("y", 0), ("0", 1), ("", 1)])
def test_no_index_leaves_find_links_alone(machine: Path, value: str, left: int) -> None:
    indexes, links, _ = read(machine, PIP_NO_INDEX=value, PIP_FIND_LINKS="/a /b")
    assert (len(indexes), links) == (left, ("/a", "/b"))


def test_uvs_find_links_and_certificates_are_taken(machine: Path) -> None:
    environ = {"UV_FIND_LINKS": "/a,/b", "PIP_FIND_LINKS": "/c"}
    assert read(machine, **environ)[1] == ("/a", "/b")
    assert read(machine, PIP_CERT="/p.pem")[2] == "/p.pem"
    assert read(machine, PIP_CERT="/p.pem", SSL_CERT_FILE="/s.pem")[2] == "/s.pem"


@pytest.mark.parametrize("text", ["no section\n", "[global\n", "[global]\n = x\n", "\0", "[a]\nb"])
def test_a_broken_file_of_pips_is_passed_over(machine: Path, text: str) -> None:
    configure(machine, text, ".pip/pip.conf")
    configure(machine, "[global]\nindex-url = https://user.example/\n")
    assert read(machine)[0] == ("https://user.example/",)


def test_a_plain_path_is_a_file_address(tmp_path: Path) -> None:
    assert as_url(f"{tmp_path}/a b") == f"file://{tmp_path}/a%20b"
    assert as_url("https://a.example/") == "https://a.example/"
