"""What libraries need and want, looked up as it is installed: real libraries, compiled here."""

import subprocess
import tempfile
from pathlib import Path

import pytest

from strixforge.gates import linkage, symbols
from strixforge.gates.staged import Staged
from strixforge.gates.system import system
from tests.unit.staging import APP, KERN, LIB, House, compiled, extension, good, kernel_library

TORCH = "torch-2.8.0-cp311-cp311-linux_x86_64.whl"
# _ZN3c105emptyEv: c10::empty()
_C10 = "int _ZN3c105emptyEv(void) { return 0; }"
_CALLS_C10 = "int _ZN3c105emptyEv(void); int f(void) { return _ZN3c105emptyEv(); }"


def linked(staged: Staged) -> list[str]:
    """Return what the gate on linkage says, without the files."""
    return [one.what for one in linkage.check(staged).findings]


def wanted(staged: Staged) -> list[str]:
    """Return what the gate on symbols says, without the files."""
    return [one.what for one in symbols.check(staged).findings]


def cxx(code: str) -> bytes:
    """Compile C++ to a library that needs libstdc++."""
    with tempfile.NamedTemporaryFile(suffix=".so") as made:
        command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", made.name]
        subprocess.run(command, input=code.encode(), check=True)
        return Path(made.name).read_bytes()


def with_extension(folder: Path, data: bytes) -> House:
    house = good(folder)
    house.wheels[APP]["app/_ext.so"] = data
    return house


def test_a_library_is_found_through_a_link_and_a_linked_folder(tmp_path: Path) -> None:
    house = good(tmp_path)
    house.prefixes[KERN] = {
        "lib": "usr/lib",
        "usr/lib/libk.so.1": "libk.so.1.0",
        "usr/lib/libk.so.1.0": kernel_library(),
    }
    staged = house.staged()
    assert linked(staged) == wanted(staged) == []


@pytest.mark.parametrize("target", ["libk.so.1", "../../../kern/lib/libk.so.1", "gone"])
def test_links_that_lead_round_or_nowhere_end(tmp_path: Path, target: str) -> None:
    house = good(tmp_path)
    house.prefixes[KERN] = {"lib/libk.so.1": target}
    assert linked(house.staged()) == ["needs libk.so.1, which nothing has"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("/opt/rocm/lib", "looks in /opt/rocm/lib, which is not relative to the file"),
        ("/strixforge/out/lib", "looks in /strixforge/out/lib, which is not relative"),
        ("lib", "looks in lib, which is not relative to the file"),
        ("$ORIGIN/../strixforge/deps/x", "a path of the build"),
    ],
)
def test_a_path_that_is_not_relative_or_of_the_build_is_told(
    tmp_path: Path, entry: str, said: str
) -> None:
    path = f"$ORIGIN/../../../../../kern/lib:{entry}"
    found = linked(with_extension(tmp_path, extension(rpath=path)).staged())
    assert len(found) == 1
    assert said in found[0]


def test_a_toolchain_may_look_where_it_likes(tmp_path: Path) -> None:
    house = good(tmp_path)
    house.prefixes[KERN]["lib/libother.so"] = extension(rpath="/opt/rocm/lib")
    assert len(linked(house.staged())) == 2
    house.toolchains.add(KERN)
    assert linked(house.read()) == []


def test_what_a_toolchain_lacks_is_told_when_a_wheel_loads_it(tmp_path: Path) -> None:
    house = good(tmp_path)
    other = compiled("int other(void) { return 1; }", "-Wl,-soname,libother.so.1")
    needy = compiled(
        "int other(void); int k(void) { return other(); }",
        *("-Wl,-soname,libk.so.1", "./libother.so"),
        files=(("libother.so", other),),
    )
    house.prefixes[KERN]["lib/libk.so.1"] = needy
    house.toolchains.add(KERN)
    (found,) = linkage.check(house.staged()).findings
    assert found.where == f"prefixes/{KERN}: lib/libk.so.1"
    assert found.what == "needs libother.so.1, which nothing has"


def test_libraries_of_the_machine_are_known_and_their_versions_too(tmp_path: Path) -> None:
    data = cxx("#include <string>\nstd::string f(const char *s) { return std::string(s) + s; }")
    staged = with_extension(tmp_path, data).staged()
    assert linked(staged) == wanted(staged) == []
    assert symbols.check(staged).looked_at["of the machine"] > 0


def test_a_library_that_the_machine_may_not_have_is_told(tmp_path: Path) -> None:
    other = compiled("int other(void) { return 1; }", "-Wl,-soname,libother.so.1")
    code = "int other(void); int f(void) { return other(); }"
    data = compiled(code, "./libother.so", files=(("libother.so", other),))
    staged = with_extension(tmp_path, data).staged()
    assert linked(staged) == ["needs libother.so.1, which nothing has"]
    assert wanted(staged) == []
    assert symbols.check(staged).looked_at["not decided"] == 1


@pytest.mark.parametrize("name", ["libamdhip64.so.6", "libhsa-runtime64.so.1"])
def test_two_runtimes_of_hip_are_told_unless_they_are_the_same(tmp_path: Path, name: str) -> None:
    house = good(tmp_path)
    first = compiled("int hip(void) { return 1; }", f"-Wl,-soname,{name}")
    second = compiled("int hip(void) { return 2; }", f"-Wl,-soname,{name}")
    house.prefixes[KERN][f"lib/{name}"] = first
    house.wheels[LIB][f"lib/{name}"] = first
    assert linked(house.staged()) == []
    house.wheels[LIB][f"lib/{name}"] = second
    (found,) = linked(house.staged())
    assert "is a second " in found


def with_torch(folder: Path, exported: str = _C10) -> House:
    """Return a wheelhouse with a PyTorch and an extension that finds its libraries loaded."""
    c10 = compiled(exported, "-Wl,-soname,libc10.so")
    house = with_extension(folder, compiled(_CALLS_C10, "./libc10.so", files=(("libc10.so", c10),)))
    house.wheels[TORCH] = {"torch/lib/libc10.so": c10}
    return house


def test_what_the_importer_has_loaded_is_found_in_its_wheel(tmp_path: Path) -> None:
    staged = with_torch(tmp_path).staged()
    assert linked(staged) == wanted(staged) == []


def test_without_the_importers_wheel_it_is_missing(tmp_path: Path) -> None:
    house = with_torch(tmp_path)
    del house.wheels[TORCH]
    assert linked(house.staged()) == ["needs libc10.so, which nothing has"]


def test_a_symbol_of_another_pytorch_is_told_with_its_fix(tmp_path: Path) -> None:
    house = with_torch(tmp_path, "int _ZN3c103newEv(void) { return 0; }")
    (found,) = symbols.check(house.staged()).findings
    assert found.what == "wants _ZN3c105emptyEv, which nothing that it loads has"
    assert "PyTorch" in found.fix


def test_a_symbol_of_pytorch_is_nothing_that_a_system_rocm_could_have(tmp_path: Path) -> None:
    hip = compiled("int x(void) { return 0; }", "-Wl,-soname,libamdhip64.so.6")
    files = (("libamdhip64.so", hip),)
    house = with_extension(
        tmp_path, compiled(_CALLS_C10, "-Wl,--no-as-needed", "./libamdhip64.so", files=files)
    )
    house.system_rocm = True
    assert linked(house.staged()) == []
    assert len(wanted(house.read())) == 1
    house.system_rocm = False
    assert linked(house.read()) == ["needs libamdhip64.so.6, which nothing has"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("extern int PyLong_FromLong(long); int f(void) { return PyLong_FromLong(1); }", []),
        ("extern int gone(void) __attribute__((weak)); int f(void) { return gone(); }", []),
        ("extern int Pylon(void); int f(void) { return Pylon(); }", ["wants Pylon, which"]),
    ],
)
def test_pythons_own_and_weak_names_may_be_undefined(
    tmp_path: Path, code: str, said: list[str]
) -> None:
    found = wanted(with_extension(tmp_path, compiled(code)).staged())
    assert [one[: len(start)] for one, start in zip(found, said, strict=True)] == said


def test_a_prefix_is_not_loaded_by_python(tmp_path: Path) -> None:
    house = good(tmp_path)
    house.prefixes[KERN]["lib/libp.so"] = compiled(
        "extern int PyLong_FromLong(long); int f(void) { return PyLong_FromLong(1); }"
    )
    assert len(wanted(house.staged())) == 1


def test_a_damaged_library_is_told_by_this_gate(tmp_path: Path) -> None:
    data = bytearray(kernel_library())
    data[32:40] = b"\xff" * 8  # e_phoff
    (found,) = linkage.check(with_extension(tmp_path, bytes(data)).staged()).findings
    assert found.what.startswith("a damaged ELF file: ")


def test_every_piece_of_data_has_its_reason() -> None:
    data = system()
    reasons = [one.reason for one in (*data.library, *data.rocm, *data.program)]
    reasons += [one.reason for one in data.importer] + [one.reason for one in data.exception]
    assert min(map(len, reasons)) > 15


def test_an_exception_holds_for_that_wheel_of_the_index_alone(tmp_path: Path) -> None:
    tbb = compiled("int tbb(void) { return 1; }", "-Wl,-soname,libtbb.so.12")
    code = "int tbb(void); int f(void) { return tbb(); }"
    pool = compiled(code, "./libtbb.so", files=(("libtbb.so", tbb),))
    house = good(tmp_path)
    name = "numba-0.61.2-cp311-cp311-linux_x86_64.whl"
    house.wheels[name] = {"numba/np/ufunc/tbbpool.cpython-311.so": pool}
    assert linkage.check(house.staged()).looked_at["exceptions"] == 1
    assert linked(house.read()) == []
    house.built[name] = "numba"
    assert len(linked(house.read())) == 1
