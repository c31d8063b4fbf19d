"""`./doit audit` on the demo's wheelhouse, and on other things."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import zstandard

from .conftest import HOME, clean_environment


def doit(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "doit"), "stack=demo", *words],
        cwd=HOME,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_wheelhouse_has_kernels_for_the_target_and_none_is_hollow(wheelhouse: Path) -> None:
    done = doit("audit")
    assert done.returncode == 0, done.stderr
    assert f"below {wheelhouse}/" in done.stdout
    assert "12 kernels for gfx1151" in done.stdout
    report = json.loads((HOME / "build" / "reports" / "demo" / "audit.json").read_text())
    assert report["passed"] is True
    assert all(row["targets"] == {"gfx1151": 1} for row in report["rows"])
    assert sum(row["hollow"] for row in report["rows"]) == 0


def test_a_damaged_copy_and_a_place_with_nothing_end_with_their_own_codes(
    wheelhouse: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(wheelhouse / "prefixes", tmp_path / "copy")
    (pack,) = copy.glob("attention_kernels-*.tar")
    pack.write_bytes(pack.read_bytes()[:-20_000])
    done = doit(f"path={copy}", "audit")
    assert done.returncode == 21, done.stdout + done.stderr
    assert "Gate closed: copy is not fit for gfx1151" in done.stderr
    assert "the tar archive" in done.stderr
    done = doit(f"path={tmp_path}/gone", "audit")
    assert done.returncode == 11
    assert "there is nothing at that place" in done.stderr


def test_a_worse_wheelhouse_is_told_and_shown_on_a_page(wheelhouse: Path, tmp_path: Path) -> None:
    """The reference has a kernel that is gone now, and needed fewer registers for another."""
    assert doit("audit").returncode == 0
    reports = HOME / "build" / "reports" / "demo"
    record = zstandard.ZstdDecompressor().stream_reader(
        (reports / "audit.kernels.zst").read_bytes()
    )
    earlier = json.loads(record.read())
    kernels = earlier["files"][0]["kernels"]
    kernels[0][earlier["columns"].index("vgprs")] = 24
    kernels.append(["lost", *kernels[0][1:]])
    old = tmp_path / "old.json"
    old.write_text(json.dumps(earlier, separators=(",", ":")))
    done = doit(f"compare={old}", "audit")
    assert done.returncode == 21, done.stdout + done.stderr
    assert "13 kernels before, 12 now" in done.stdout
    assert "1 gone, 0 tuned anew, 0 new, 1 changed" in done.stdout
    assert "kernels are gone" in done.stderr
    assert "such as lost" in done.stderr
    assert "waves on a SIMD" in done.stderr
    page = (reports / "audit.html").read_text()
    assert "Does not pass" in page
    assert "24 → " in page
    done = doit(f"compare={wheelhouse}", "audit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 gone, 0 tuned anew, 0 new, 0 changed" in done.stdout
    for bad in (tmp_path / "gone", old.with_name("cut.json")):
        (tmp_path / "cut.json").write_text(old.read_text()[:-30])
        done = doit(f"compare={bad}", "audit")
        assert done.returncode == 11
        assert "nothing to compare with" in done.stderr
