"""Each gate closes for what it is there for, and no other gate knows of that."""

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from strixforge.gates import kernel_folders, prebuilt, registry
from strixforge.gates.finding import Checked, Finding
from strixforge.gates.staged import Shipped, Staged
from strixforge.model.errors import GateError
from tests.unit.staging import (
    APP,
    KERN,
    LIB,
    House,
    compiled,
    extension,
    findings,
    good,
    kernel_library,
    metadata,
)
from tests.unit.test_aks2 import packed
from tests.unit.test_codeobjects import GFX1100, device


def _hidden(house: House) -> None:
    with zipfile.ZipFile(house.folder / "wheels" / APP, "a") as archive:
        archive.writestr("app/.hidden", "")


def _two(house: House) -> None:
    house.wheels["lib-2.1-py3-none-any.whl"] = {
        "lib/__init__.py": b"",
        "lib-2.1.dist-info/METADATA": metadata("lib", "2.1"),
    }


def _cuda(house: House) -> None:
    house.wheels["nvidia_cublas-1-py3-none-any.whl"] = {
        "nvidia_cublas-1.dist-info/METADATA": metadata("nvidia-cublas", "1")
    }


def _lacking(house: House) -> None:
    del house.wheels[LIB]


def _other_gpu(house: House) -> None:
    house.wheels[LIB]["lib/kernel.hsaco"] = device(GFX1100)


def _looks_elsewhere(house: House) -> None:
    house.wheels[APP]["app/_ext.so"] = extension(rpath="$ORIGIN")


def _wants_more(house: House) -> None:
    code = "int k(void); int gone(void); long f(void) { return k() + gone(); }"
    house.wheels[APP]["app/_ext.so"] = extension(code)


def _unlicensed(house: House) -> None:
    bare = b"Metadata-Version: 2.1\nName: lib\nVersion: 2.0\nLicense: UNKNOWN\n"
    house.wheels[LIB]["lib-2.0.dist-info/METADATA"] = bare


def _without_its_kernels(house: House) -> None:
    house.prefixes[KERN]["lib/libhipblaslt.so.0.10"] = kernel_library()
    house.prefixes[KERN]["share/gemm.co"] = device()


BEFORE: list[tuple[str, Callable[[House], None], str]] = [
    ("tags", _two, "is a second wheel of lib"),
    ("ours", _cuda, "is for CUDA"),
    ("dependencies", _lacking, "app 1.0 asks for lib>=2: it is not there"),
    ("architecture", _other_gpu, "gfx1100"),
    (
        "kernel-folders",
        _without_its_kernels,
        "has no kernel for gfx1151 in 0 files",
    ),
    ("linkage", _looks_elsewhere, "needs libk.so.1, which nothing has"),
    ("symbols", _wants_more, "wants gone, which nothing that it loads has"),
    ("licences", _unlicensed, "says nothing of a licence"),
]
AFTER: list[tuple[str, Callable[[House], None], str]] = [
    ("record", _hidden, "app/.hidden is not listed in RECORD"),
]


def test_a_good_wheelhouse_passes_and_everything_was_looked_at(tmp_path: Path) -> None:
    passed = registry.run(good(tmp_path).staged())
    assert list(passed.looked_at) == list(registry.GATES)
    zero = {
        (gate, what) for gate, all_ in passed.looked_at.items() for what in all_ if not all_[what]
    }
    assert zero == {
        ("architecture", "code objects"),
        ("architecture", "kernels"),
        ("kernel-folders", "folders"),
        ("kernel-folders", "files"),
        ("kernel-folders", "kernels"),
        ("linkage", "exceptions"),
        ("symbols", "exceptions"),
        ("symbols", "not decided"),
    }
    assert passed.summary().startswith(f"{len(registry.GATES)} passed: record 2 wheels, ")


@pytest.mark.parametrize(("gate", "change", "said"), BEFORE, ids=[one[0] for one in BEFORE])
def test_only_this_gate_finds_it(
    tmp_path: Path, gate: str, change: Callable[[House], None], said: str
) -> None:
    house = good(tmp_path)
    change(house)
    found = findings(house.staged())
    assert {one.gate for one in found} == {gate}, found
    assert any(said in one.what for one in found), found


@pytest.mark.parametrize(("gate", "change", "said"), AFTER, ids=[one[0] for one in AFTER])
def test_only_this_gate_finds_what_is_changed_afterwards(
    tmp_path: Path, gate: str, change: Callable[[House], None], said: str
) -> None:
    house = good(tmp_path)
    house.staged()
    change(house)
    found = findings(house.read())
    assert [one.gate for one in found] == [gate], found
    assert said in found[0].what


@pytest.mark.parametrize("archive", [LIB, KERN])
def test_only_this_gate_finds_a_published_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: str
) -> None:
    house = good(tmp_path)
    content = b"what others built"
    if archive == LIB:
        house.wheels[LIB]["lib/data"] = content
    else:
        house.prefixes[KERN]["lib/data"] = content
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(
        prebuilt, "known", lambda: {sha256: prebuilt.File(sha256, "a release", "here")}
    )
    assert [(one.gate, one.what) for one in findings(house.staged())] == [
        ("prebuilt", "is a release")
    ]


def test_a_whole_wheel_may_be_a_published_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = good(tmp_path).staged()
    sha256 = hashlib.sha256((tmp_path / "wheels" / LIB).read_bytes()).hexdigest()
    monkeypatch.setattr(
        prebuilt, "known", lambda: {sha256: prebuilt.File(sha256, "a release", "here")}
    )
    assert [one.where for one in findings(staged)] == [f"wheels/{LIB}"]


def test_each_published_file_that_is_known_has_its_source() -> None:
    assert prebuilt.known()
    assert all(one.what and one.source for one in prebuilt.known().values())


@pytest.mark.parametrize(
    ("said", "files", "passes"),
    [
        ("License-Expression: MIT", (), True),
        ("License: BSD", (), True),
        ("Classifier: License :: OSI Approved :: MIT License", (), True),
        ("Classifier: Programming Language :: Python", (), False),
        ("License: UNKNOWN", ("LICENSE",), True),
        ("License: UNKNOWN", ("licenses/third/COPYING",), True),
        ("License: UNKNOWN", ("top_level.txt",), False),
    ],
)
def test_a_licence_may_be_stated_in_each_way_of_the_standards(
    tmp_path: Path, said: str, files: tuple[str, ...], *, passes: bool
) -> None:
    house = good(tmp_path)
    info = "lib-2.0.dist-info"
    text = f"Metadata-Version: 2.1\nName: lib\nVersion: 2.0\n{said}\n"
    house.wheels[LIB][f"{info}/METADATA"] = text.encode()
    for name in files:
        house.wheels[LIB][f"{info}/{name}"] = b"You may.\n"
    assert (findings(house.staged()) == []) == passes


def test_a_component_whose_recipe_has_no_licence_is_told(tmp_path: Path) -> None:
    house = good(tmp_path)
    house.shipped["kern"] = Shipped("", " ", ())
    assert [(one.gate, one.where) for one in findings(house.staged())] == [("licences", "kern")]


def test_every_gate_has_something_that_only_it_finds() -> None:
    elsewhere = {prebuilt.GATE}
    assert {one[0] for one in (*BEFORE, *AFTER)} | elsewhere == set(registry.GATES)


@pytest.mark.parametrize(
    ("tag", "said"),
    [("cp27-cp27mu-linux_x86_64", "does not take"), ("py3-none-win32", "does not take")],
)
def test_a_wheel_for_another_machine_is_told(tmp_path: Path, tag: str, said: str) -> None:
    house = good(tmp_path)
    house.wheels[f"lib-2.0-{tag}.whl"] = house.wheels.pop(LIB)
    assert [(one.gate, said in one.what) for one in findings(house.staged())] == [("tags", True)]


def test_a_name_that_is_none_is_told_once(tmp_path: Path) -> None:
    house = good(tmp_path)
    house.staged()
    shutil.copy(house.folder / "wheels" / LIB, house.folder / "wheels" / "lib.whl")
    assert [one.gate for one in findings(house.read())] == ["tags"]


def test_what_a_component_builds_must_be_its_own_wheel(tmp_path: Path) -> None:
    house = good(tmp_path)
    house.shipped["lib"] = Shipped("lib", "MIT", ())
    found = findings(house.staged())
    assert [one.what for one in found] == [
        "is lib of the package index; lib builds it",
        "the wheel of lib, which lib builds, is not there",
    ]


def test_a_library_of_cuda_is_found_by_name(tmp_path: Path) -> None:
    house = good(tmp_path)
    fake = compiled("int cudaMalloc(void) { return 0; }", "-Wl,-soname,libcudart.so.12")
    house.wheels[LIB]["lib/_c.so"] = compiled(
        "int cudaMalloc(void); int f(void) { return cudaMalloc(); }",
        "./libcudart.so",
        files=(("libcudart.so", fake),),
    )
    found = [one for one in findings(house.staged()) if one.gate == "ours"]
    assert [one.what for one in found] == ["needs libcudart.so.12, of CUDA"]


def test_a_prefix_is_searched_for_code_objects_and_a_toolchain_is_not(tmp_path: Path) -> None:
    house = good(tmp_path)
    house.prefixes[KERN]["share/kernel.hsaco"] = device(GFX1100)
    assert [one.gate for one in findings(house.staged())] == ["architecture"]
    house.toolchains.add(KERN)
    assert findings(house.read()) == []


_LIBRARY = "lib/hipblaslt/library"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({f"{_LIBRARY}/gfx1151/a.co": device()}, []),
        ({f"{_LIBRARY}/a.co": device(), f"{_LIBRARY}/b.dat": b"\x80"}, []),
        ({f"{_LIBRARY}/a.co": device(kernels=())}, ["has no kernel for gfx1151 in 1 files"]),
        ({f"{_LIBRARY}/gfx1151.txt": b"gfx1151"}, ["has no kernel for gfx1151 in 1 files"]),
        ({"hipblaslt/library/a.co": device()}, ["has no kernel for gfx1151 in 0 files"]),
    ],
    ids=["its own folder", "beside others", "without kernels", "a name alone", "elsewhere"],
)
def test_kernels_must_lie_where_the_library_looks(
    tmp_path: Path, files: dict[str, bytes], said: list[str]
) -> None:
    house = good(tmp_path)
    house.prefixes[KERN] |= {"lib/libhipblaslt.so.0": kernel_library(), **files}
    assert [one.what for one in findings(house.staged())] == said


def test_images_in_a_wheel_are_read(tmp_path: Path) -> None:
    house = good(tmp_path)
    house.wheels[LIB]["lib/lib/libaotriton_v2.so.0.11.2"] = kernel_library()
    images = "lib/lib/aotriton.images/amd-gfx115x/flash"
    house.wheels[LIB][f"{images}/attn_fwd.aks2"] = packed({"a": device(), "b": device()})
    checked = kernel_folders.check(house.staged())
    assert (checked.findings, checked.looked_at) == ((), {"folders": 1, "files": 1, "kernels": 4})
    house.wheels[LIB][f"{images}/attn_fwd.aks2"] = packed({})
    (finding,) = kernel_folders.check(house.staged()).findings
    assert finding.where == f"wheels/{LIB}: lib/lib/aotriton.images"


def test_a_release_without_kernels_may_stay_where_a_component_builds_them(tmp_path: Path) -> None:
    house = good(tmp_path)
    house.prefixes["rocm-6.tar"] = {
        "lib/libhipblaslt.so.0": kernel_library(),
        f"{_LIBRARY}/a.co": device(GFX1100),
    }
    house.built["rocm-6.tar"] = "rocm"
    house.toolchains.add("rocm-6.tar")
    assert [one.gate for one in findings(house.staged())] == ["kernel-folders"]
    house.prefixes[KERN] |= {
        "lib/libhipblaslt.so.0": kernel_library(),
        f"{_LIBRARY}/a.co": device(),
    }
    assert findings(house.staged()) == []


def test_all_findings_of_all_gates_are_told_at_once(tmp_path: Path) -> None:
    house = good(tmp_path)
    _two(house)
    house.staged()
    _hidden(house)
    with pytest.raises(GateError, match="2 findings of 2 gates") as caught:
        registry.run(house.read())
    assert caught.value.exit_code == 21
    text = str(caught.value)
    assert f"record: wheels/{APP}: app/.hidden is not listed in RECORD" in text
    assert "tags: wheels/lib-2.1-py3-none-any.whl: is a second wheel" in text
    assert "record: Build the wheel again" in text
    assert "tags: A component builds it" in text


def test_many_findings_are_counted_and_no_gate_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(staged: Staged) -> Checked:
        del staged
        return Checked({}, tuple(Finding("noisy", "a\nb", f"no {n}", "Stop.") for n in range(99)))

    monkeypatch.setattr(registry, "GATES", {"noisy": noisy, **registry.GATES})
    house = good(tmp_path)
    _lacking(house)
    with pytest.raises(GateError) as caught:
        registry.run(house.staged())
    lines = caught.value.where.splitlines()
    assert len(lines) == 21
    assert lines[0] == "noisy: a\\x0ab: no 0"
    assert lines[-2].startswith("dependencies: ")
    assert lines[-1] == "and 80 more; in all: noisy 99, dependencies 1"
