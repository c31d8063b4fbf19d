"""Patch files and their DEP-3 headers."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import DataError
from strixforge.model.patch import Patch, load_patches
from tests.unit.home import PATCH, refusal


def load(folder: Path, text: str = PATCH, name: str = "0001-fix.patch") -> Patch:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text.encode())
    return load_patches(folder)[-1]


def fault(tmp_path: Path, text: str, name: str = "0001-fix.patch") -> DataError:
    with pytest.raises(DataError) as caught:
        load(tmp_path / "tool", text, name)
    assert f"{tmp_path}/tool/{name}: " in caught.value.where
    return caught.value


def test_a_patch_counts_by_its_diff_not_by_its_header_nor_its_name(tmp_path: Path) -> None:
    one = load(tmp_path / "a")
    said = PATCH.replace("make it work", "another text").replace("tool", "tool>=1")
    assert load(tmp_path / "b", said, "0007-other.patch").digest == one.digest
    assert load(tmp_path / "c", PATCH.replace("+new", "+newer")).digest != one.digest
    assert load(tmp_path / "d", PATCH.replace("+new\n", "+new\r\n")).digest != one.digest


def test_patches_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("0010-b.patch", "0002-c.patch", "0001-z.patch"):
        load(tmp_path, name=name)
    names = [patch.path.name for patch in load_patches(tmp_path)]
    assert names == ["0001-z.patch", "0002-c.patch", "0010-b.patch"]
    assert load_patches(tmp_path / "absent") == ()


@pytest.mark.parametrize("field", ["Description", "Author", "Last-Update", "Applies-To"])
def test_each_required_field_is_missed_by_name(tmp_path: Path, field: str) -> None:
    lines = [line for line in PATCH.splitlines(keepends=True) if not line.startswith(field)]
    error = fault(tmp_path, "".join(lines))
    assert error.what == f"the header lacks {field}."
    assert error.where.endswith(f": {field}")


@pytest.mark.parametrize(
    ("old", "new", "what", "fix"),
    [
        ("Author:", "Autor:", "unknown header field 'Autor'", "Did you mean 'Author'?"),
        ("Forwarded: no\n", "", "neither Forwarded nor Origin", "Forwarded: no"),
        ("2026-01-02", "yesterday", "not a date", "YYYY-MM-DD"),
        ("Applies-To: tool", "Applies-To: tool>=x", "not a specifier", "vllm>=0.10"),
        ("Applies-To: tool", "Applies-To: ;", "names no component", "vllm>=0.10"),
        ("Applies-To: tool", "Applies-To: tool @ https://x/y", "more than a name", "vllm>=0.10"),
        ("Author:", "Author: B\nAuthor:", "has Author twice", "Join"),
        ("Forwarded: no", "Forwarded: no\nApplied-Upstream: soon", "not a version", "0.11.1"),
    ],
)
def test_a_bad_header_says_what_to_write(
    tmp_path: Path, old: str, new: str, what: str, fix: str
) -> None:
    error = fault(tmp_path, PATCH.replace(old, new, 1))
    assert what in error.what
    assert fix in error.fix


def test_a_patch_without_a_diff_and_a_bad_name_are_refused(tmp_path: Path) -> None:
    assert "no diff" in fault(tmp_path, PATCH.split("--- a")[0]).what
    (tmp_path / "tool" / "0001-fix.patch").unlink()
    assert "NNNN-name.patch" in fault(tmp_path, PATCH, "1-Fix.patch").what


def test_the_source_may_be_latin_1_but_the_header_is_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "0001-fix.patch"
    path.write_bytes(PATCH.replace("+new", "+n\xe9w").encode("latin-1"))
    assert load_patches(tmp_path)[0].description == "make it work"
    path.write_bytes(PATCH.replace("make", "m\xe9ke").encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        load_patches(tmp_path)


@pytest.mark.parametrize(
    ("applies", "versions", "use"),
    [
        ("tool", {"tool": "1.0"}, "apply"),
        ("tool>=1,<2", {"tool": "1.5"}, "apply"),
        ("tool>=1,<2", {"tool": "2.0"}, "other"),
        ("tool>=1,<2", {"tool": "2.0rc1"}, "other"),
        ("tool>=2.0rc1", {"tool": "2.0rc1"}, "apply"),
        ("tool>=1; rocm<6.4.5", {"tool": "1.5", "rocm": "6.4.4"}, "apply"),
        ("tool>=1; rocm<6.4.5", {"tool": "1.5", "rocm": "7.2"}, "other"),
        ("tool>=1; rocm<6.4.5", {"tool": "1.5"}, "other"),
    ],
)
def test_all_of_applies_to_must_hold(
    tmp_path: Path, applies: str, versions: dict[str, str], use: str
) -> None:
    patch = load(tmp_path, PATCH.replace("Applies-To: tool", f"Applies-To: {applies}"))
    assert patch.use("tool", versions) == use


def test_a_patch_that_upstream_has_is_droppable_from_that_version_on(tmp_path: Path) -> None:
    text = PATCH.replace("Forwarded: no", "Origin: upstream\nApplied-Upstream: 1.2")
    patch = load(tmp_path, text)
    assert patch.use("tool", {"tool": "1.1"}) == "apply"
    assert patch.use("tool", {"tool": "1.2"}) == "upstream"
    assert patch.use("tool", {"tool": "1.10"}) == "upstream"


fields = st.sampled_from(
    ["Description", "Author", "Forwarded", "Last-Update", "Applies-To", "Applied-Upstream", "Bug"]
)
values = st.text(max_size=20) | st.sampled_from(["tool>=1", "1.0", "2026-01-02", "no"])


@given(st.lists(st.tuples(fields, values), max_size=8), st.binary(max_size=20))
def test_any_header_is_a_patch_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, header: list[tuple[str, str]], noise: bytes
) -> None:
    folder = tmp_path_factory.mktemp("patches")
    lines = PATCH.split("\n\n")[0].splitlines()
    lines = [line for line in lines if line.split(":")[0] not in dict(header)]
    lines += [f"{name}: {value}" for name, value in header]
    body = "\n".join(lines).encode("utf-8", "replace") + noise + b"\n--- a\n+++ b\n"
    (folder / "0001-x.patch").write_bytes(body)

    def use() -> None:
        (patch,) = load_patches(folder)
        assert patch.use("tool", {"tool": "1.0"}) in ("apply", "other", "upstream")

    error = refusal(use, DataError)
    assert error is None or str(folder) in error.where
