"""Both kinds of sandbox show a step the same: fixed paths, the host's compiler, nothing else."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import DOIT, REPOSITORY, Project

# Prints what a step can see of the machine. Times, sizes and mount options differ by nature.
LOOK = """\
echo "id: $(id)"
echo "host: $(uname -n)"
echo "umask: $(umask)"
echo "cwd: $(pwd)"
env | sort | sed 's/^/env: /'
find / /dev /etc /strixforge -maxdepth 1 -printf 'file: %p %M %U:%G %l\\n' | sort -u
cut -d' ' -f2 /proc/self/mounts | sort | sed 's/^/mount: /'
sed -n '3,$s/:.*//p' /proc/net/dev | sed 's/ *//; s/^/interface: /'
grep -E '^(CapEff|CapPrm|CapAmb|NoNewPrivs)' /proc/self/status
ls /proc/self/fd | wc -l | sed 's/^/descriptors: /'
"""
# Each line fails in every sandbox; the word before the colon names what was tried.
FORBIDDEN = {
    "write into /usr": "touch /usr/x",
    "write into /usr/bin": "echo x >> /usr/bin/env",
    "write into /etc": "touch /etc/x",
    "change /etc/passwd": "echo x >> /etc/passwd",
    "write into /": "touch /x",
    "write into a need": "touch /strixforge/deps/tool/x",
    "change a need": "echo x >> /strixforge/deps/tool/hello.txt",
    "change a need's mode": "chmod 777 /strixforge/deps/tool/hello.txt",
    "change the plan": "echo x >> /strixforge/plan.json",
    "change the first process": "echo x >> /strixforge/inside.py",
    "remount": "mount -o remount,rw /usr",
    "unmount": "umount /strixforge/deps/tool",
    "look into /opt": "ls /opt/*",
    "look into /home": "ls /home",
    "read /etc/shadow": "cat /etc/shadow",
    "read /etc/ssl": "ls /etc/ssl/private",
    "look into /var": "ls /var",
    "look into /mnt": "ls /mnt",
    "use /usr/local": "ls /usr/local/*",
    "see a process outside": 'kill -0 "$OUTSIDE"',
    "write a kernel switch": "cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness",
    "set the core pattern": "cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern",
    "reach the network": "exec 3<>/dev/tcp/192.0.2.1/80",
    "reach the host's loopback": 'exec 3<>/dev/tcp/127.0.0.1/"$PORT"',
    "become root": "su -c true || setpriv --reuid 0 true",
    "use a disk": "cat /dev/vda /dev/sda",
    "read the kernel's memory": "cat /dev/mem /proc/kcore",
}
SECRETS = {
    "HTTP_PROXY": "http://proxy.invalid:3128",
    "https_proxy": "http://proxy.invalid:3128",
    "SSH_AUTH_SOCK": "/run/agent.sock",
    "GITHUB_TOKEN": "a-secret-token",
    "AWS_SECRET_ACCESS_KEY": "a-secret-token",
    "LD_PRELOAD": "",
    "PYTHONPATH": "/nowhere",
    "CFLAGS": "-Dleaked",
    "TZ": "Pacific/Auckland",
    "LC_ALL": "C",
}
ENVIRONMENT = {
    "HOME": "/tmp",
    "LC_ALL": "C.UTF-8",
    "PATH": "/strixforge/env/bin:/usr/bin:/bin",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "1767225600",
    "TMPDIR": "/tmp",
    "TZ": "UTC",
    "TERM": "dumb",
    "USER": "builder",
}


def seen(project: Project, kind: str) -> list[str]:
    """Return what a step of a new project sees in a sandbox of that kind."""
    project.add("tool")
    project.add("looking", f"{{ {LOOK} }} > {{{{ out }}}}/seen", needs=["tool"])
    project.doit(f"sandbox={kind}", "build_looking", env=SECRETS).check(0, "building in")
    lines = (project.output("looking") / "seen").read_text().splitlines()
    return [line.replace(project.marker, "MARKER") for line in lines]


def test_both_kinds_show_the_same(project: Project, tmp_path: Path) -> None:
    for kind in ("bwrap", "unshare"):
        if shutil.which(kind) is None:
            pytest.skip(f"{kind} is not installed")
    other = Project(tmp_path / "other")
    one = [line for line in seen(project, "bwrap") if not line.startswith("mount: /proc/")]
    two = [line for line in seen(other, "unshare") if not line.startswith("mount: /proc/")]
    assert one == two
    assert len(one) > 50


def test_a_step_sees_the_promised_place(project: Project, sandbox: str) -> None:
    lines = seen(project, sandbox)
    assert "id: uid=1000(builder) gid=1000(builder) groups=1000(builder)" in lines or any(
        line.startswith("id: uid=1000(builder) gid=1000(builder) groups=") for line in lines
    )
    assert "host: strixforge" in lines
    assert "umask: 0022" in lines
    assert "cwd: /strixforge/src" in lines
    assert [line for line in lines if line.startswith("interface: ")] == ["interface: lo"]
    assert "CapEff:\t0000000000000000" in lines
    assert "NoNewPrivs:\t1" in lines


def test_the_environment_is_an_allow_list(project: Project, either_sandbox: str) -> None:
    text = "\n".join(seen(project, either_sandbox))
    variables = dict(
        line.removeprefix("env: ").split("=", 1)
        for line in text.splitlines()
        if line.startswith("env: ")
    )
    assert variables | ENVIRONMENT == variables
    assert variables.keys() <= ENVIRONMENT.keys() | {
        *("MARKER", "PWD", "OLDPWD", "SHLVL", "_"),
        *("MAX_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL", "CCACHE_DIR"),
        *("PIP_NO_INDEX", "PIP_DISABLE_PIP_VERSION_CHECK"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE"),
    }
    assert "secret" not in text
    assert "proxy" not in text


def burglary(tries: dict[str, str], port: int) -> str:
    """Return a step that tries everything, and ends well when all of it failed."""
    lines = [
        f'if ( {command} ) > /dev/null 2>&1; then echo "error: it could {what}"; bad=1; fi'
        for what, command in tries.items()
    ]
    head = f"bad=; export PORT={port} OUTSIDE={os.getpid()}"
    return "\n".join([head, *lines, '[ -z "$bad" ]', "cp -r . {{ out }}"])


def test_nothing_forbidden_can_be_done(project: Project, sandbox: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        project.add("tool")
        step = burglary(FORBIDDEN, listening.getsockname()[1])
        project.add("burglar", step, needs=["tool"])
        project.doit(f"sandbox={sandbox}", "build_burglar").check(0)
    project.check_store()


def test_what_is_allowed_would_be_noticed_by_the_test_above(project: Project) -> None:
    project.add("burglar", burglary({"read its source": "ls /strixforge/src/hello.txt"}, 1))
    project.doit("build_burglar").check(19, "it could read its source")


def test_only_the_way_to_python_is_shown_of_a_home_folder(
    project: Project, either_sandbox: str
) -> None:
    step = "find / -maxdepth 2 -not -path '/proc*' -not -path '/usr*' -not -path '/dev*'"
    project.add("looking", f"{step} > {{{{ out }}}}/seen")
    project.doit(f"sandbox={either_sandbox}", "build_looking").check(0)
    top = {Path(line) for line in (project.output("looking") / "seen").read_text().splitlines()}
    known = {Path("/", name) for name in ("", "bin", "sbin", "lib", "lib32", "lib64", "libx32")}
    known |= {Path("/", name) for name in ("dev", "etc", "proc", "tmp", "usr", "strixforge")}
    known |= {path for path in top if path.parent in (Path("/etc"), Path("/strixforge"))}
    python = Path(sys.base_prefix)
    assert top <= known | {python, *python.parents}


@pytest.mark.slow
def test_both_kinds_make_the_same_bytes(project: Project, tmp_path: Path) -> None:
    steps = (
        "cc -g -shared -fPIC -o {{ out }}/liba.so a.c",
        "cc -g -c -o {{ build }}/a.o {{ src }}/a.c",
        "ar rcs {{ out }}/liba.a {{ build }}/a.o",
        "tar cf {{ out }}/a.tar a.c",
        "mkdir {{ out }}/private; umask 077; echo x > {{ out }}/private/x; chmod 700 {{ out }}",
    )
    source = {"a.c": "const char *f(void) { return __FILE__ __DATE__ __TIME__; }\n"}
    outputs = set()
    for number, kind in enumerate(("bwrap", "unshare")):
        if shutil.which(kind) is None:
            pytest.skip(f"{kind} is not installed")
        one = project if number == 0 else Project(tmp_path / "a" / "longer" / "path")
        one.add("bytes", *steps, files=source)
        one.doit(f"sandbox={kind}", "build_bytes").check(0, f"building in {kind}")
        outputs.add(one.record("bytes")["output"])
    assert len(outputs) == 1


def test_what_a_step_leaves_running_ends_with_it(project: Project, either_sandbox: str) -> None:
    project.add("daemon", "(setsid sleep 60 >/dev/null 2>&1 &)", "cp -r . {{ out }}")
    project.doit(f"sandbox={either_sandbox}", "build_daemon").check(0)
    assert not project.processes()


@pytest.mark.slow
def test_orphans_of_a_step_do_not_pile_up(project: Project) -> None:
    # Each subshell ends before its child, which then belongs to the namespace's first process.
    step = "for i in $(seq 300); do (sleep 0.1 &); done; sleep 1; cat /proc/[0-9]*/stat"
    project.add("orphans", f"{step} > {{{{ out }}}}/stat")
    project.doit("sandbox=unshare", "build_orphans").check(0)
    states = [
        line.rpartition(")")[2].split()[0]
        for line in (project.output("orphans") / "stat").read_text().splitlines()
    ]
    assert states.count("Z") < 10
    assert states


@pytest.fixture
def plain_user(warm_cache: Path) -> Iterator[tuple[Project, list[str]]]:
    """Return a project that user 54321 owns, and the words that run a command as that user.

    He sees the Python of this test run, also when that lies in a folder which is closed to him.
    """
    if os.getuid() != 0:
        pytest.skip("not root: all other tests have shown it")
    home = Path(tempfile.mkdtemp(prefix="strixforge-plain-"))
    project = Project(home / "project")
    shutil.copytree(warm_cache / "host", project.cache / "host")
    closed = next(
        (p for p in reversed(Path(sys.base_prefix).parents) if not p.stat().st_mode & 0o001), None
    )
    python = shlex.quote(sys.base_prefix)
    open_up = (
        f"mount --bind {python} {home}/python && mount -t tmpfs -o mode=755 tmpfs {closed}"
        f" && mkdir -p {python} && mount --bind {home}/python {python} &&"
    )
    (home / "python").mkdir()
    script = f'set -eu; {open_up if closed else ""} exec "$@"'
    words = [
        *("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"),
        *("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", "--"),
    ]
    yield project, words
    shutil.rmtree(home)


def test_a_plain_user_sees_the_same_as_root(
    plain_user: tuple[Project, list[str]], project: Project, either_sandbox: str
) -> None:
    theirs, words = plain_user
    theirs.add("tool")
    theirs.add("looking", f"{{ {LOOK} }} > {{{{ out }}}}/seen", needs=["tool"])
    closed = "mkdir -p {{ build }}/a/b; chmod 0 {{ build }}/a/b; chmod 500 {{ build }}/a"
    theirs.add("closing", "cp -r . {{ out }}", closed)
    theirs.add("failing", f"{closed}; exit 3")
    home = str(theirs.home.parent)
    subprocess.run(["chown", "-R", "54321:54321", home], check=True)
    Path(home).chmod(0o755)
    if theirs.run([*words, DOIT, "--version"]).code:
        pytest.skip(f"a plain user cannot read {REPOSITORY}")

    def run(*more: str) -> list[str]:
        return [*words, *theirs.command(f"sandbox={either_sandbox}", *more)]

    theirs.run(run("build_looking"), env=SECRETS).check(0, "building in")
    lines = (theirs.output("looking") / "seen").read_text().splitlines()
    mine = [line for line in seen(project, either_sandbox) if not line.startswith("file: ")]
    found = [line.replace(theirs.marker, "MARKER") for line in lines if line[:6] != "file: "]
    assert found == mine
    # Folders that a step has closed stop neither the next build nor the tidying up.
    theirs.run(run("build_closing")).check(0)
    for _ in range(2):
        theirs.run(run("build_failing")).check(19, "exit code 3")
