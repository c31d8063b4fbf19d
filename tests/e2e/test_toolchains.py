"""A whole ROCm as an archive, or as it is installed: used as it came, held against its pin."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from strixforge.toolchain.mixed import mixed
from tests.e2e.project import Done, Project, poll
from tests.unit.therock import (
    COMMIT,
    MANIFEST,
    Link,
    Program,
    Tree,
    below,
    bitcode,
    classic,
    header,
    next_tick,
    tarball,
    therock,
    write,
)
from tests.unit.web import Reply, Server

VERSION = "10.1.0a20260813"
NAME = f"therock-dist-linux-gfx1151-{VERSION}.tar.gz"
FACTS = (
    "{{ rocm.prefix }} {{ rocm.bitcode }} {{ rocm.clang }} {{ rocm.hip_version }} "
    "{{ rocm.release }} {{ rocm.cmake }}"
)
LAYOUTS = {"plain": "", "dotted": "./", "one folder": "rocm/"}


def pin_of(body: bytes, url: str) -> dict[str, Any]:
    return {"source": "archive", "url": url, "sha256": hashlib.sha256(body).hexdigest()}


def add_rocm(project: Project, pin: Mapping[str, Any], version: str = VERSION) -> None:
    project.add("rocm", output="toolchain", version=version, pin=pin, is_built=False)


def pack(project: Project, tree: Tree, top: str = "", version: str = VERSION) -> Path:
    """Pin a tarball of the tree that lies in a file; returns the file."""
    body = tarball(tree, top)
    file = project.home / "downloads" / "dist.tar.gz"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(body)
    add_rocm(project, pin_of(body, file.as_uri()), version)
    return file


def published(project: Project) -> list[str]:
    """Return what the store holds."""
    return [str(one) for kind in ("objects", "records") for one in project.store.glob(f"{kind}/*")]


def said(project: Project, *steps: str) -> str:
    """Build a component whose steps write to the file `said` of its output; returns its text."""
    project.add("user", *steps, needs=["rocm"])
    project.doit("build_user").check(0)
    return (project.output("user") / "said").read_text()


def test_three_forms_of_one_distribution_come_out_the_same(project: Project) -> None:
    outputs = set()
    for top in LAYOUTS.values():
        pack(project, therock(), top)
        project.doit("build_rocm").check(0, "done in")
        outputs.add(project.record("rocm")["output"])
    assert len(outputs) == 1
    project.check_store()


def test_a_distribution_is_kept_as_it_came_hidden_files_links_and_modes(
    project: Project, web: Server
) -> None:
    tree = therock() | {"lib/libodd.txt": "\t\r\n no end of line"}
    body = tarball(tree)
    add_rocm(project, pin_of(body, web.add(f"/{NAME}", Reply(body))))
    project.doit("build_rocm").check(0, f"fetched {VERSION}")
    output = project.output("rocm")
    assert output.joinpath(".kpack/blas_lib_gfx1151.kpack").read_text() == "KPAK\n"
    found = {path.relative_to(output).as_posix() for path in output.rglob("*")}
    folders = {str(one) for name in tree for one in Path(name).parents} - {"."}
    assert found == tree.keys() | folders
    for name, text in tree.items():
        path = output / name
        if isinstance(text, Link):
            assert str(path.readlink()) == text
        else:
            assert path.read_bytes() == text.encode()
            assert bool(path.stat().st_mode & 0o111) == isinstance(text, Program), name
    assert not project.log("rocm")  # no step ran


def test_debugging_symbols_are_not_stripped(project: Project) -> None:
    library = project.home / "library.so"
    (project.home / "x.c").write_text("int answer(void) { return 42; }\n")
    project.run(["cc", "-g", "-shared", str(project.home / "x.c"), "-o", str(library)]).check(0)
    whole = library.read_bytes()
    assert b".debug_info" in whole
    body = tarball(therock(), more={"lib/libwhole.so": whole})
    file = project.home / "dist.tar.gz"
    file.write_bytes(body)
    add_rocm(project, pin_of(body, file.as_uri()))
    project.doit("build_rocm").check(0)
    assert (project.output("rocm") / "lib/libwhole.so").read_bytes() == whole


def test_a_recipe_names_the_parts_and_the_sandbox_shows_them(
    project: Project, either_sandbox: str
) -> None:
    project.sandbox = either_sandbox
    pack(project, therock())
    look = (
        "cd /opt/rocm; ls -A; readlink lib/libamdhip64.so; cat .kpack/*; test -x bin/hipcc; "
        "test ! -x .info/version; llvm/bin/clang++; bin/amdclang++"
    )
    text = said(
        project,
        f"echo '{FACTS}' > {{{{ out }}}}/said",
        "test -f {{ rocm.bitcode }}/oclc_isa_version_1151.bc; test -d {{ rocm.cmake }}/hip",
        f"({look}) >> {{{{ out }}}}/said",
        "! touch /opt/rocm/new",
    )
    facts, *seen = text.splitlines()
    assert facts.split() == [
        *("/opt/rocm", "/opt/rocm/lib/llvm/amdgcn/bitcode", "/opt/rocm/lib/llvm/bin/clang++"),
        *("7.16.26342", VERSION, "/opt/rocm/lib/cmake"),
    ]
    assert seen == [
        *(".info", ".kpack", "bin", "clients", "include", "lib", "libexec", "llvm", "share"),
        *("libamdhip64.so.7", "KPAK", "clang version 23", "clang version 23"),
    ]


def test_amds_own_layout_is_named_by_the_same_recipe(project: Project) -> None:
    pack(project, classic("7.2.0", 43), "rocm-7.2.0/", "7.2.0")
    assert said(project, f"echo '{FACTS}' > {{{{ out }}}}/said").split() == [
        *("/opt/rocm", "/opt/rocm/amdgcn/bitcode", "/opt/rocm/lib/llvm/bin/clang++"),
        *("7.2.43484", "7.2.0-43", "/opt/rocm/lib/cmake"),
    ]


def test_a_part_that_the_toolchain_has_not_is_a_sentence_that_names_those_it_has(
    project: Project,
) -> None:
    tree = {name: text for name, text in therock().items() if "amdgcn" not in name}
    pack(project, tree)
    project.add("user", "ls {{ rocm.bitcode }} > {{ out }}/said", needs=["rocm"])
    text = project.doit("build_user").check(10, "user.toml: build.steps[0]", "bitcode")
    for known in ("rocm.prefix", "rocm.clang", "rocm.cmake", "rocm.release"):
        assert known in text.split("next:")[1]
    assert not project.log("user")


def test_a_component_is_built_again_where_another_toolchain_changes_what_it_names(
    project: Project,
) -> None:
    pack(project, therock())
    steps = ("echo {{ rocm.release }} > {{ out }}/said",)
    assert said(project, *steps) == f"{VERSION}\n"
    first = project.record("user")
    pack(project, therock("10.2.0", "10.2.0a20260901"), version="10.2.0a20260901")
    assert said(project, *steps) == "10.2.0a20260901\n"
    assert project.record("user")["key"] != first["key"]


ACCEPTED: dict[str, tuple[str, Tree, str]] = {
    "nightly": (VERSION, therock(), ""),
    "nightly without version in its manifest": (VERSION, therock(package=""), "does not say which"),
    "release": ("10.1.0", therock(package="10.1.0"), ""),
    "release without version in its manifest": ("10.1.0", therock(package=""), ""),
    "candidate as release": ("10.1.0", therock(package="10.1.0rc1"), "calls itself 10.1.0rc1"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_claim_that_fits_the_pin_is_built_with_a_word_where_it_fits_in_part(
    project: Project, case: str
) -> None:
    version, tree, warning = ACCEPTED[case]
    pack(project, tree, version=version)
    text = project.doit("build_rocm").check(0, warning)
    if not warning:
        assert "rocm 10.1" not in text


@pytest.mark.parametrize("top", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize(
    ("tree", "pinned"),
    [
        (therock("10.2.0", ""), VERSION),
        (therock(package="10.1.0a20260814"), VERSION),
        (classic("7.2.0", 43), "7.2.1"),
    ],
    ids=["base", "date", "classic"],
)
def test_a_claim_of_another_release_than_the_pins_is_not_published(
    project: Project, tree: Tree, pinned: str, top: str
) -> None:
    pack(project, tree, top, pinned)
    project.doit("build_rocm").check(21, f"rocm is pinned as {pinned}, and says that it is")
    assert not published(project)


def test_what_does_not_say_what_it_is_is_not_published(project: Project) -> None:
    pack(project, {"bin/hipcc": Program(""), "lib/libamdhip64.so.7.16.26342": ""})
    project.doit("build_rocm").check(21, "does not say which release it is")
    assert not published(project)


def test_a_toolchain_for_other_gpus_is_not_published(project: Project) -> None:
    pack(project, therock(targets=("gfx1100", "gfx942")))
    project.doit("build_rocm").check(
        21, "rocm cannot build for gfx1151", "amdgcn/bitcode: gfx1100, gfx942"
    )
    assert not published(project)


def manifest(**versions: str) -> Tree:
    return {MANIFEST: json.dumps({"the_rock_commit": COMMIT, **versions})}


OLD: dict[str, Tree] = {
    ".info/version": {".info/version": "7.0.1-42\n"},
    ".info/version-dev": {".info/version-dev": "7.0.1"},
    ".info/version.json": {".info/version.json": '{"version": "7.0.1"}'},
    "rocm_version of the manifest": manifest(rocm_version="7.0.1"),
    "rocm_package_version of the manifest": manifest(
        rocm_version="10.1.0", rocm_package_version="7.0.1rc20250901"
    ),
    "rocm_version.h": {"include/rocm-core/rocm_version.h": header("ROCM", "7.0.1")},
    "libamdhip64.so": {"lib/libamdhip64.so.7.0.70001": ""},
    "librocm-core.so": {"lib/librocm-core.so.1.0.70001": ""},
}


@pytest.mark.parametrize("place", OLD)
def test_rocm_7_0_1_is_not_published_whatever_the_rest_of_it_says(
    project: Project, place: str
) -> None:
    pack(project, therock() | OLD[place])
    project.doit("build_rocm").check(12, "Refused by policy", "7.0.1", "rule rocm-7.0.1")
    assert not published(project)


@pytest.mark.parametrize("top", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_rocm_7_0_1_that_is_pinned_as_7_0_2_is_not_published_in_any_form(
    project: Project, top: str
) -> None:
    pack(project, classic("7.0.1", 42), top, "7.0.2")
    project.doit("target=elsewhere", "build_rocm").check(12, "rule rocm-7.0.1")
    assert not published(project)


def test_rocm_7_0_1_that_only_its_folder_names_is_not_published(project: Project) -> None:
    tree = {"include/hip/hip_version.h": header("HIP", "7.0.51831"), "bin/hipcc": Program("")}
    pack(project, tree, "rocm-7.0.1/", "7.0.2")
    project.doit("target=elsewhere", "build_rocm").check(12, "rocm-7.0.1", "rule rocm-7.0.1")
    assert not published(project)


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("7.0.1", NAME),
        ("7.0.1a20250901", NAME),
        (VERSION, "therock-dist-linux-gfx1151-7.0.1a20250901.tar.gz"),
        (VERSION, "rocm/tarball/7.0.1/dist.tar.gz"),
    ],
)
def test_rocm_7_0_1_by_version_or_address_is_not_even_fetched(
    project: Project, web: Server, version: str, path: str
) -> None:
    body = tarball(therock())
    add_rocm(project, pin_of(body, web.add(f"/{path}", Reply(body))), version)
    project.doit("build_rocm").check(12, "toolchain.lock: pin of rocm", "rule rocm-7.0.1")
    assert not web.asked
    assert not project.files()


def test_rocm_7_0_1_at_another_address_is_not_even_fetched(project: Project, web: Server) -> None:
    body = tarball(therock())
    pin = pin_of(body, web.add(f"/{NAME}", Reply(body)))
    other = f"{web.url}/therock-dist-linux-gfx1151-7.0.1.tar.gz"
    add_rocm(project, pin | {"also": [other]})
    project.doit("build_rocm").check(12, "toolchain.lock: pin of rocm", "rule rocm-7.0.1")
    assert not web.asked


def test_a_rule_that_is_younger_than_the_store_counts(project: Project) -> None:
    pack(project, therock())
    project.add("user", needs=["rocm"])
    project.doit("build_user").check(0)
    policy = project.home / "policy.toml"
    policy.write_text(policy.read_text().replace('releases = ["7.0.1"]', 'releases = ["10.1.0"]'))
    project.doit("build_user").check(12, "10.1.0", "rule rocm-7.0.1")


def test_a_distribution_that_is_cut_off_is_refused(project: Project, web: Server) -> None:
    body = tarball(therock() | {f"include/{one}.h": f"{one}\n" for one in range(999)})
    cut = body[: len(body) // 2]
    add_rocm(project, pin_of(cut, web.add(f"/{NAME}", Reply(cut))))
    project.doit("build_rocm").check(16, "cannot be unpacked")
    assert not published(project)


def test_one_changed_byte_of_a_distribution_is_refused(project: Project, web: Server) -> None:
    body = tarball(therock())
    other = body[:-1] + bytes([body[-1] ^ 1])
    add_rocm(project, pin_of(body, web.add(f"/{NAME}", Reply(other))))
    project.doit("build_rocm").check(15, "are not those of the lock")
    assert not published(project)
    assert not list((project.cache / "sha256").rglob("*"))


def test_one_changed_byte_at_the_first_address_does_not_ask_the_others(
    project: Project, web: Server
) -> None:
    body = tarball(therock())
    other = body[:-1] + bytes([body[-1] ^ 1])
    pin = pin_of(body, web.add("/first.tar.gz", Reply(other)))
    add_rocm(project, pin | {"also": [web.add("/second.tar.gz", Reply(body))]})
    project.doit("build_rocm").check(15, "are not those of the lock", "/first.tar.gz")


def test_another_address_has_what_the_first_one_lost(project: Project, web: Server) -> None:
    body = tarball(therock())
    pin = pin_of(body, f"{web.url}/gone.tar.gz")
    add_rocm(project, pin | {"also": [f"{web.url}/too.tar.gz", web.add("/has.gz", Reply(body))]})
    project.doit("build_rocm").check(0, f"fetched {VERSION}")
    assert [path for path, _ in web.asked] == ["/gone.tar.gz", "/too.tar.gz", "/has.gz"]


def test_a_distribution_that_is_gone_everywhere_names_each_address(
    project: Project, web: Server, tmp_path: Path
) -> None:
    urls = [f"{web.url}/gone.tar.gz", f"{web.url}/too.tar.gz", (tmp_path / "not.gz").as_uri()]
    add_rocm(project, pin_of(b"", urls[0]) | {"also": urls[1:]})
    text = project.doit("build_rocm").check(14, "is at none of its 3 addresses")
    where = text.split("where:")[1].split("cause:")[0]
    assert [url for url in urls if url in where] == urls
    assert where.count("the server answered 404") == 2
    assert "could not be read" in where


# doit lock, and the wheelhouse: both want pip from an index.


def hashes_in(lock: Path) -> list[str]:
    stack = tomllib.loads(lock.read_text())["stack"]["tiny"]
    return [pin.get("sha256", "") for pin in stack["pin"] if pin["source"] == "archive"]


@pytest.mark.parametrize("unpinned", [{"sha256": "unresolved"}, {}], ids=["unresolved", "left out"])
def test_lock_takes_the_hash_of_the_first_download_and_says_so(
    project: Project, web: Server, index: dict[str, str], unpinned: dict[str, str]
) -> None:
    body = tarball(therock())
    sha256 = hashlib.sha256(body).hexdigest()
    add_rocm(project, {"source": "archive", "url": web.add(f"/{NAME}", Reply(body)), **unpinned})
    lock = project.home / "toolchain.lock"
    lock.write_text(
        lock.read_text()
        .replace('component = "rocm"', 'component = "rocm" # a nightly')
        .replace("[[stack.tiny.pin]]", "# as the index has it\n[[stack.tiny.pin]]")
    )
    before = lock.read_text()
    project.doit("build_rocm").check(13, f"rocm {VERSION} has no sha256")
    assert not web.asked
    project.doit("lock", env=index).check(0, f"sha256 {sha256}", "trusted on first use")
    assert hashes_in(lock) == [sha256]
    after = lock.read_text()
    assert "# a nightly" in after
    assert "# as the index has it" in after
    assert [line for line in after.splitlines() if "sha256" not in line] == [
        line for line in before.splitlines() if "sha256" not in line
    ]
    asked = len(web.asked)
    text = project.doit("lock", env=index).check(0)
    assert "trusted on first use" not in text
    assert lock.read_text() == after
    assert f"/{NAME}" not in [path for path, _ in web.asked[asked:]]
    project.doit("build_rocm").check(0)
    assert [path for path, _ in web.asked].count(f"/{NAME}") == 1


def test_lock_leaves_a_hash_that_is_there(
    project: Project, web: Server, index: dict[str, str]
) -> None:
    add_rocm(project, pin_of(b"other bytes", web.add(f"/{NAME}", Reply(tarball(therock())))))
    lock = project.home / "toolchain.lock"
    before = lock.read_text()
    assert "trusted" not in project.doit("lock", env=index).check(0)
    assert lock.read_text() == before
    assert f"/{NAME}" not in [path for path, _ in web.asked]


def test_lock_asks_the_other_addresses_too(
    project: Project, web: Server, index: dict[str, str]
) -> None:
    body = tarball(therock())
    pin = {"source": "archive", "url": f"{web.url}/gone.tar.gz"}
    add_rocm(project, pin | {"also": [web.add(f"/{NAME}", Reply(body))]})
    project.doit("lock", env=index).check(0, "trusted on first use")
    assert hashes_in(project.home / "toolchain.lock") == [hashlib.sha256(body).hexdigest()]
    project.doit("build_rocm").check(0)


OTHER_STACK = """
[stack.other]
summary = "has a rocm of the same number from elsewhere"
[[stack.other.pin]]
component = "rocm"
version = "10.1.0a20260813"
epoch = 1767225600
"""


@pytest.mark.parametrize(
    "source",
    [
        'source = "local"\npath = "examples/rocm"\n',
        'source = "system"\n',
        'source = "archive"\nurl = "file:///elsewhere.tar.gz"\n',
        f'source = "archive"\nurl = "file:///elsewhere.tar.gz"\nsha256 = "{"0" * 64}"\n',
    ],
    ids=["local", "system", "another archive", "another archive that has a hash"],
)
def test_lock_leaves_the_pin_of_another_stack_as_it_is(
    project: Project, web: Server, index: dict[str, str], source: str
) -> None:
    add_rocm(project, {"source": "archive", "url": web.add(f"/{NAME}", Reply(tarball(therock())))})
    lock = project.home / "toolchain.lock"
    lock.write_text(lock.read_text() + OTHER_STACK + source)
    project.doit("lock", env=index).check(0, "trusted on first use")
    assert lock.read_text().endswith(OTHER_STACK + source)
    project.doit("build_rocm").check(0)


def test_lock_of_what_is_gone_writes_no_hash(
    project: Project, web: Server, index: dict[str, str]
) -> None:
    add_rocm(project, {"source": "archive", "url": f"{web.url}/{NAME}"})
    before = (project.home / "toolchain.lock").read_text()
    project.doit("lock", env=index).check(14, "404", NAME)
    assert (project.home / "toolchain.lock").read_text() == before


# The one that is installed.


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a ROCm of this machine. Skips where a HIP of the distribution would be beside it."""
    (tmp_path / "empty").mkdir()
    if signs := mixed(tmp_path / "empty"):
        pytest.skip(signs[0])
    return write(tmp_path / "opt/rocm-10.1", therock())


def add_system(project: Project, path: Path | str) -> None:
    add_rocm(project, {"source": "system", "path": str(path)})


def test_an_installed_rocm_is_seen_by_builds_at_opt_rocm(
    project: Project, installed: Path, either_sandbox: str
) -> None:
    project.sandbox = either_sandbox
    add_system(project, installed)
    text = said(
        project,
        f"echo '{FACTS}' > {{{{ out }}}}/said",
        "cat /opt/rocm/.kpack/* >> {{ out }}/said; ! touch /opt/rocm/new",
        f"test ! -e {installed}",
    )
    assert text.split() == [
        *("/opt/rocm", "/opt/rocm/lib/llvm/amdgcn/bitcode", "/opt/rocm/lib/llvm/bin/clang++"),
        *("7.16.26342", VERSION, "/opt/rocm/lib/cmake", "KPAK"),
    ]
    assert [path.name for path in project.output("rocm").iterdir()] == ["system.json"]


def test_rocm_path_names_it_where_the_pin_does_not(project: Project, installed: Path) -> None:
    add_rocm(project, {"source": "system"})
    project.doit("build_rocm", env={"ROCM_PATH": str(installed)}).check(0)
    gone = installed.parent / "gone"
    project.doit("build_rocm", env={"ROCM_PATH": str(gone)}).check(22, f"no ROCm in {gone}")


def build_user(project: Project) -> tuple[Done, dict[str, Any]]:
    done = project.doit("build_user")
    done.check(0)
    return done, project.record("user")


def test_a_changed_file_of_an_installed_rocm_builds_again_what_uses_it(
    project: Project, installed: Path
) -> None:
    add_system(project, installed)
    project.add("user", "cp /opt/rocm/lib/llvm/amdgcn/bitcode/ocml.bc {{ out }}", needs=["rocm"])
    _, first = build_user(project)
    assert build_user(project)[1] == first
    next_tick()
    (installed / "lib/llvm/amdgcn/bitcode/ocml.bc").write_text("BC 0cml.bc\n")
    project.doit("explain").check(0, "rocm", "will be built again")
    done, second = build_user(project)
    assert "building in" in done.text
    assert second["key"] != first["key"]
    assert (project.output("user") / "ocml.bc").read_text() == "BC 0cml.bc\n"
    write(installed, {"share/doc/README": "not for builds\n"})
    assert build_user(project)[1] == second


def test_an_installed_rocm_that_changes_under_a_build_leaves_nothing_of_it(
    project: Project, installed: Path
) -> None:
    add_system(project, installed)
    project.doit("build_rocm").check(0)
    before = published(project)
    project.add("user", "echo begun; sleep 3; cp /opt/rocm/bin/hipcc {{ out }}", needs=["rocm"])
    with project.started("build_user") as run:
        poll(lambda: "begun" in project.log("user"), "a step that runs")
        (installed / "lib/llvm/amdgcn/bitcode/ocml.bc").write_text("BC another\n")
        run.wait().check(15, "changed while it was built")
    assert published(project) == before
    project.doit("build_user").check(0, "building in")


def test_the_same_rocm_in_another_folder_builds_nothing_again(
    project: Project, installed: Path
) -> None:
    add_system(project, installed)
    project.add("user", needs=["rocm"])
    _, first = build_user(project)
    moved = installed.rename(installed.parent / "moved")
    add_system(project, moved)
    done, second = build_user(project)
    assert second == first
    assert "building in" not in done.text
    project.add("user", "cat /opt/rocm/.info/version > {{ out }}/said", needs=["rocm"])
    build_user(project)
    assert (project.output("user") / "said").read_text() == "10.1.0\n"


def test_an_installed_rocm_that_is_two_in_one_is_refused_with_the_evidence(
    project: Project, installed: Path
) -> None:
    write(installed, {"lib/librocblas.so.4": "", "lib/librocblas.so.5": ""})
    add_system(project, installed)
    project.doit("build_rocm").check(
        12, f"the ROCm in {installed} is mixed of two", "librocblas.so.4", "librocblas.so.5"
    )
    assert not published(project)


def test_an_installed_rocm_that_went_away_is_a_sentence(project: Project, installed: Path) -> None:
    add_system(project, installed)
    project.add("user", needs=["rocm"])
    project.doit("build_user").check(0)
    installed.rename(installed.parent / "moved")
    project.doit("build_user").check(22, f"there is no ROCm in {installed}", "ROCM_PATH")


def test_an_installed_rocm_of_another_release_is_refused(project: Project, installed: Path) -> None:
    add_rocm(project, {"source": "system", "path": str(installed)}, "10.2.0")
    project.doit("build_rocm").check(21, "rocm is pinned as 10.2.0, and says that it is 10.1.0")
    assert not published(project)


def test_an_installed_rocm_for_other_gpus_is_refused(project: Project, tmp_path: Path) -> None:
    others = write(tmp_path / "opt/rocm", therock(targets=("gfx942",)))
    if mixed(others):
        pytest.skip("this machine's distribution has a HIP")
    add_system(project, others)
    project.doit("build_rocm").check(21, "rocm cannot build for gfx1151")


def test_an_installed_rocm_7_0_1_is_refused(project: Project, installed: Path) -> None:
    (installed / ".info/version").write_text("7.0.1-42\n")
    (installed / MANIFEST).unlink()
    (installed / "include/rocm-core/rocm_version.h").unlink()
    (installed / "lib/librocm-core.so.1.0.100100").unlink()
    add_system(project, installed)
    project.doit("build_rocm").check(12, "rule rocm-7.0.1")
    assert not published(project)


@pytest.mark.parametrize("is_system", [True, False], ids=["installed", "archive"])
def test_a_wheelhouse_brings_a_rocm_of_an_archive_and_none_that_is_installed(
    project: Project, installed: Path, index: dict[str, str], is_system: bool
) -> None:
    if is_system:
        add_system(project, installed)
    else:
        pack(project, therock())
    project.add("user", needs=["rocm"])
    project.doit("lock", env=index).check(0)
    project.doit("wheelhouse", env=index).check(0, "The wheelhouse of stack tiny is complete")
    prefixes = project.home / "build/wheelhouse/tiny/prefixes"
    names = {path.name for path in prefixes.iterdir()}
    rocm = set() if is_system else {f"rocm-{VERSION}.tar"}
    assert names == {"user-1.0.0.tar"} | rocm
    manifest = json.loads((prefixes.parent / "manifest.json").read_text())
    built = {one["origin"].get("built") for one in manifest["files"]} - {None}
    assert built == ({"user"} if is_system else {"user", "rocm"})


def test_bitcode_among_clangs_own_files_is_found_too(project: Project) -> None:
    tree = {name: text for name, text in therock().items() if "amdgcn" not in name}
    tree |= below("lib/llvm/lib/clang/23/lib/amdgcn/bitcode", bitcode("gfx1151"))
    pack(project, tree)
    text = said(project, "echo {{ rocm.bitcode }} > {{ out }}/said")
    assert text == "/opt/rocm/lib/llvm/lib/clang/23/lib/amdgcn/bitcode\n"
