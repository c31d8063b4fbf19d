"""What an audit says of files, archives and folders, and its verdict."""

import json
from pathlib import Path

import pytest

from strixforge.audit.__main__ import NOT_FIT, main
from strixforge.audit.bodies import Body
from strixforge.audit.kernels import Kernel
from strixforge.audit.occupancy import waves
from strixforge.audit.report import Row, audit, table
from tests.unit.test_codeobjects import (
    GFX11_GENERIC,
    GFX1100,
    GFX1151,
    bundle,
    device,
    fatbin,
    note,
)
from tests.unit.test_instructions import code
from tests.unit.test_kernels import FULL, image, metadata
from tests.unit.test_tars import FILES, TABLE, tar

LABEL = "hipv4-amdgcn-amd-amdhsa--"
STUB = {"gemm": bytes(code("s_trap 2"))}
REAL = {"gemm": bytes(code("global_store_b32 v[0:1], v2, off", "s_endpgm"))}


def real(flags: int = GFX1151) -> bytes:
    """Return a code object with a kernel that stores something."""
    return image(note(metadata(FULL)), REAL, flags)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_row_for_each_file_and_the_rest_counted(tmp_path: Path) -> None:
    files = {"a.co": real(), "b.co": device(GFX1100), "library/t.dat": TABLE, "readme": b"x"}
    report = audit([write(tmp_path, files)], "gfx1151")
    assert report.findings == ()
    assert report.kernels == 1
    assert report.others == {"Tensile solutions": 1, "other": 1}
    assert report.rows[0] == Row(
        file=f"{tmp_path}/a.co", targets={"gfx1151": 1}, kernels=1, hollow=0, spilling=1,
        scratch=1, most_vgprs=96, fewest_waves=16, unreadable=(),
    )  # fmt: skip
    assert [(row.file, row.targets, row.kernels) for row in report.rows[1:]] == [
        (f"{tmp_path}/b.co", {"gfx1100": 1}, 0)
    ]
    lines = table(report)
    assert lines[0] == f"below {tmp_path}/"
    assert lines[2].split() == ["1", "0", "1", "1", "96", "16", "a.co"]
    assert lines[3:] == [
        "1 files have none for gfx1151: gfx1100 in 1",
        "without device code: 1 Tensile solutions, 1 other",
    ]


def test_sections_and_bundle_entries_are_of_one_file_and_members_are_their_own(
    tmp_path: Path,
) -> None:
    entries = [(f"{LABEL}gfx1151", real()), (f"{LABEL}gfx1100", real(GFX1100))]
    library = fatbin(bundle(*entries), bundle(*entries))
    write(tmp_path, {"a.tar": tar({"./lib/x.so": library, ".hidden.co": real()})})
    report = audit([tmp_path / "a.tar"], "gfx1151")
    assert [(row.file, row.targets) for row in report.rows] == [
        (f"{tmp_path}/a.tar!./lib/x.so", {"gfx1100": 2, "gfx1151": 2}),
        (f"{tmp_path}/a.tar!.hidden.co", {"gfx1151": 1}),
    ]
    assert report.findings == ()


def test_a_generic_target_covers(tmp_path: Path) -> None:
    write(tmp_path, {"a.co": real(GFX11_GENERIC)})
    assert audit([tmp_path], "gfx1151").findings == ()


@pytest.mark.parametrize(
    ("files", "finding"),
    [
        ({}, "There is no kernel for gfx1151."),
        ({"a.co": device(GFX1100)}, "There is no kernel for gfx1151."),
        ({"a.txt": b"gfx1151"}, "There is no kernel for gfx1151."),
        ({"a.co": real(), "b.co": b"odd"}, "b.co cannot be read: named as device code"),
        ({"a.co": image(note(metadata(FULL)), STUB)}, "1 of 1 kernels, such as gemm"),
        (
            {
                "a.co": real(),
                "b.so": fatbin(
                    bundle((f"{LABEL}gfx1100", device(GFX1100))),
                    bundle((f"{LABEL}gfx90a", device(0x3F))),
                ),
            },
            "b.so has code for gfx1100, gfx90a, and none for gfx1151.",
        ),
    ],
    ids=range(6),
)
def test_what_does_not_pass(tmp_path: Path, files: dict[str, bytes], finding: str) -> None:
    findings = audit([write(tmp_path, files)], "gfx1151").findings
    assert any(finding in one for one in findings), findings


def test_what_a_recipe_allows_passes(tmp_path: Path) -> None:
    write(tmp_path, {"a.co": image(note(metadata(FULL)), STUB), "b.co": real()})
    assert audit([tmp_path], "gfx1151", ["gemm"]).findings == ()


def test_the_program_says_the_same_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, FILES)
    assert main([str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert document["passed"] is True
    assert {row["file"] for row in document["rows"]} == {
        f"{tmp_path}/usr/lib/libk.so",
        f"{tmp_path}/usr/lib/x/library/k.hsaco",
    }
    assert main([str(tmp_path), "--arch", "gfx90a"]) == NOT_FIT
    assert "0 kernels for gfx90a: does not pass" in capsys.readouterr().out


def test_a_path_that_is_not_there_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "gone")]) == NOT_FIT
    assert "cannot be opened" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "vgprs", "wavefront", "found"),
    [
        ("gfx1151", 0, 32, 16),
        ("gfx1151", 96, 32, 16),
        ("gfx1151", 97, 32, 12),
        ("gfx1151", 256, 32, 5),
        ("gfx1151", 96, 64, 8),
        ("gfx1150", 96, 32, 10),
        ("gfx1100", 192, 32, 8),
        ("gfx90a", 96, 64, None),
        ("gfx1151", 96, 0, None),
    ],
)
def test_waves_as_far_as_registers_decide(
    target: str, vgprs: int, wavefront: int, found: int | None
) -> None:
    assert waves(Kernel("k", vgprs, 0, 0, 0, 0, 0, wavefront, 0, Body.WORKS), target) == found
