"""Libraries that others built for many GPUs: Debian's hipBLASLt has gfx1151, its rocBLAS not."""

import json
import subprocess

import pytest

from strixforge.audit.__main__ import NOT_FIT, main
from strixforge.audit.codeobjects import CodeObject, NoDeviceCode, survey
from tests.debian.packages import fetched

pytestmark = pytest.mark.slow


def test_every_file_of_hipblaslt_is_known_and_it_passes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = fetched("libhipblaslt1")
    listed = subprocess.run(
        ["dpkg-deb", "--contents", path], capture_output=True, text=True, check=True
    )
    files = [line for line in listed.stdout.splitlines() if line.startswith("-")]
    found = list(survey(path))
    assert len(found) >= len(files) > 1000
    assert {type(one) for one in found} == {CodeObject, NoDeviceCode}
    others = [one for one in found if isinstance(one, NoDeviceCode) and one.kind == "other"]
    assert all("/usr/share/" in one.where for one in others), others
    assert main([str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    kernels = sum(row["kernels"] for row in report["rows"])
    assert kernels > 1000
    assert report["findings"] == []
    print(kernels, "kernels in", len(files), "files")


def test_rocblas_without_the_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(fetched("librocblas4")), "--json"]) == NOT_FIT
    report = json.loads(capsys.readouterr().out)
    assert sum(row["kernels"] for row in report["rows"]) == 0
    assert "There is no kernel for gfx1151." in report["findings"]
    assert not any(row["unreadable"] for row in report["rows"])


def test_hipblaslt_for_the_target_is_like_that_for_its_sibling(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(fetched("libhipblaslt1")), "--beside", "gfx1100", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["parity"]
    assert told["compared"] > 1000
    assert (told["hollow"], told["missing"]) == ([], [])
