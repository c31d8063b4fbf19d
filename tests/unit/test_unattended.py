"""What starts nights by itself says to systemd and to GitHub what was said to ./doit."""

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strixforge.actions.installing import install_nights
from strixforge.model.errors import UsageError
from strixforge.nightly.unattended import Night, service, timer, workflow
from strixforge.opening import open_workspace
from tests.unit.home import Home

AWKWARD = [
    "plain",
    "two  words ",
    "100% %h %%",
    "$HOME ${HOME} $$",
    'it\'s "quoted"',
    "back\\slash\\n \\",
    "#;~-é✓",
    "${{ github.token }} `id` }}",
]
COMMAND = "echo \"$NIGHTLY_SAID\" '${HOME}' %h \\n ${{ github.sha }} $$ ; exit $?"
DOIT = '#!/bin/sh\nprintf \'%s\\0\' "$0" "$PWD" "$@" > said\n'
NEEDS_SYSTEMD = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)


@dataclass(frozen=True)
class Installed:
    """A project whose nights can be installed, and where they are installed to."""

    project: Home
    config: Path

    def install(self, *, environ: Mapping[str, str] | None = None, **variables: str) -> None:
        here = self.project.root
        install_nights(open_workspace(here, variables, environ or {}, here=here))

    @property
    def service(self) -> Path:
        return self.config / "systemd" / "user" / "strixforge-nightly-main.service"

    @property
    def timer(self) -> Path:
        return self.service.with_suffix(".timer")

    @property
    def workflow(self) -> Path:
        return self.project.root / ".github" / "workflows" / "strixforge-nightly-main.yml"


def project(root: Path, channel: str = 'channel = "some"\n') -> Home:
    """Make a project that follows a channel, with a ./doit that writes down what it is told."""
    made = Home(root)
    made.lock_file.write_text(f"{made.lock_file.read_text()}{channel}")
    made.pin("rocm")
    toolchain = 'summary = "a test"\nlicense = "MIT"\noutput = "toolchain"\nverified = "source"\n'
    made.write("recipes/rocm.toml", toolchain)
    made.write("policy.toml", "rule = []\n")
    channels = 'name = "some"\nindex = "https://example.org/"\nsource = "the tests"\n'
    made.write("channels.toml", f"[[channel]]\n{channels}")
    made.write("doit", DOIT).chmod(0o755)
    return made


@pytest.fixture
def nights(tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    config = machine / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    return Installed(project(tmp_path / "plain"), config)


def verify(unit: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Have systemd load a unit of a user. Returns what it said."""
    # Sockets of other units are named in it: a longer path is too long for them.
    with tempfile.TemporaryDirectory(prefix="run-") as runtime:
        return subprocess.run(
            ["systemd-analyze", "--user", "--man=no", "verify", str(unit)],
            env=os.environ | {"XDG_RUNTIME_DIR": runtime} | environ,
            capture_output=True,
            text=True,
            check=False,
        )


def understood(unit: Path) -> dict[str, str]:
    """Return what systemd itself says that it read in a unit."""
    said = verify(unit, SYSTEMD_LOG_LEVEL="debug", SYSTEMD_LOG_TARGET="console").stdout
    section = said.partition(f"-> Unit {unit.name}:\n")[2].partition("-> Unit ")[0]
    assert section, said
    return dict(re.findall(r"^\s*([\w ]+): (.*)$", section, re.MULTILINE))


def command(read: dict[str, str]) -> list[str]:
    """Return the words that systemd would run. It shows them quoted, with variables as they are."""
    line = read["Command Line"]
    words = [
        re.sub(r"\\(.)", r"\1", quoted) if start == '"' else plain
        for start, quoted, plain in re.findall(r'(")((?:[^"\\]|\\.)*)"|(\S+)', line)
    ]
    for word in words:
        assert "$" not in word.replace("$$", ""), f"a variable would be filled in: {word}"
    return [word.replace("$$", "$") for word in words]


@NEEDS_SYSTEMD
@pytest.mark.parametrize("name", AWKWARD)
def test_systemd_takes_the_units_of_any_folder(
    tmp_path: Path, nights: Installed, name: str
) -> None:
    there = Installed(project(tmp_path / name), nights.config)
    there.install(then=COMMAND)
    for unit in (there.service, there.timer):
        done = verify(unit)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


@NEEDS_SYSTEMD
@pytest.mark.parametrize("name", AWKWARD)
def test_systemd_runs_what_was_given(tmp_path: Path, nights: Installed, name: str) -> None:
    there = Installed(project(tmp_path / name), nights.config)
    there.install(then=COMMAND, store=f"st {name}")
    read = understood(there.service)
    home = there.project.root
    assert read["WorkingDirectory"] == str(home)
    subprocess.run(command(read), cwd=read["WorkingDirectory"], check=True)
    assert (home / "said").read_text().split("\0") == [
        str(home / "doit"),
        str(home),
        "stack=main",
        f"then={COMMAND}",
        f"store={home}/st {name}",
        "nightly",
        "",
    ]


@NEEDS_SYSTEMD
@given(st.lists(st.text(st.sampled_from("az \\'\"$%{}[]();#~é✓`!*&|<>=-@:+,?^")), max_size=20))
@example(["", ";", "$", "%", "\\", '"', "$$", "%%", "${A}", "\\x41", " "])
def test_systemd_reads_any_words(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("unit")
    unit = folder / "systemd" / "user" / "strixforge-nightly-main.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(service(Night("main", folder, tuple(words), dt.time(1))))
    assert command(understood(unit)) == ["/bin/sh", f"{folder}/doit", *words, "nightly"]


@NEEDS_SYSTEMD
def test_systemd_knows_how_to_run_a_night(nights: Installed) -> None:
    nights.install()
    read = understood(nights.service)
    assert read["TimeoutStartSec"] == "20h"
    assert read["KillMode"] == "mixed"
    assert read["Nice"] == "19"
    assert read["IOSchedulingClass"] == "idle"
    # A quarantined night ends with 28, and is to be seen as failed.
    assert "SuccessExitStatus" not in nights.service.read_text()


@NEEDS_SYSTEMD
def test_systemd_starts_the_service_each_day_and_makes_up_for_a_missed_one(
    nights: Installed,
) -> None:
    nights.install()
    read = understood(nights.timer)
    assert read["Triggers"].startswith(nights.service.name)
    assert read["OnCalendar"].startswith("*-*-* 03:30:00")
    assert read["Persistent"] == "yes"


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("check_jsonschema")
    schema = ["--builtin-schema", "vendor.github-workflows"]
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_workflow_is_one_by_githubs_schema(nights: Installed) -> None:
    nights.install(unattended="github", then=COMMAND)
    done = check_schema(nights.workflow)
    assert done.returncode == 0, done.stdout + done.stderr
    nights.workflow.write_text(nights.workflow.read_text().replace("runs-on", "runs-at"))
    assert "runs-at" in check_schema(nights.workflow).stdout


@pytest.mark.parametrize("text", AWKWARD)
def test_the_workflow_checks_out_and_runs_what_was_given(
    tmp_path: Path, nights: Installed, text: str
) -> None:
    yaml = pytest.importorskip("ruamel.yaml").YAML(typ="safe")
    nights.install(unattended="github", then=text + COMMAND)
    home = nights.project.root
    nights.project.write(".gitignore", "/said\n/build/\n")
    git = ["git", "-C", str(home), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)

    (job,) = yaml.load(nights.workflow)["jobs"].values()
    runner = tmp_path / "runner"
    runner.mkdir()
    github = {
        "GITHUB_SERVER_URL": f"file://{tmp_path}",
        "GITHUB_REPOSITORY": "plain",
        "GITHUB_SHA": head.stdout.strip(),
    }
    for _ in range(2):  # the folder stays as it is between two nights
        (runner / "doit").unlink(missing_ok=True)
        for step in job["steps"]:
            assert "uses" not in step
            # As GitHub does: what stands in an expression is filled in, here one text in quotes.
            script = re.sub(r"\$\{\{ '((?:[^']|'')*)' \}\}", r"\1", step["run"])
            subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
                cwd=runner,
                env=os.environ | github | step.get("env", {}),
                check=True,
            )
        (runner / "build").mkdir(exist_ok=True)
    assert (runner / "build").is_dir()
    told = (runner / "said").read_text().split("\0")
    assert told == ["./doit", str(runner), "stack=main", f"then={text}{COMMAND}", "nightly", ""]


def test_the_workflow_leaves_github_no_expression_to_fill_in() -> None:
    night = Night("main", Path("/a"), ("then=${{ secrets.A }}",), dt.time(4, 5))
    expressions = re.findall(r"\$\{\{.*?\}\}", workflow(night))
    assert expressions == ["${{ '${{' }}"]


def test_two_nights_of_a_workflow_never_run_at_once(nights: Installed) -> None:
    yaml = pytest.importorskip("ruamel.yaml").YAML(typ="safe")
    nights.install(unattended="github")
    read = yaml.load(nights.workflow)
    group = {"group": "strixforge-nightly-main", "cancel-in-progress": False}
    assert read["concurrency"] == group
    assert read["permissions"] == {"contents": "read"}
    assert read["on"]["schedule"] == [{"cron": "30 3 * * *"}]
    assert read["jobs"]["nightly"]["runs-on"] == ["self-hosted", "linux", "strixforge"]


def test_units_are_written_where_systemd_looks_and_nothing_else_is(
    nights: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    nights.install()
    nights.install()
    assert set(nights.config.rglob("*.*")) == {nights.service, nights.timer}
    assert not nights.workflow.exists()
    said = capsys.readouterr().out
    for expected in (
        str(nights.service),
        str(nights.timer),
        "systemctl --user daemon-reload",
        "systemctl --user enable --now strixforge-nightly-main.timer",
        "loginctl enable-linger",
        "journalctl --user -u strixforge-nightly-main.service",
    ):
        assert expected in said


def test_without_a_config_folder_of_xdg_units_go_below_home(
    nights: Installed, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    nights.install()
    folder = machine / ".config" / "systemd" / "user"
    assert {path.name for path in folder.iterdir()} == {nights.service.name, nights.timer.name}


def test_a_workflow_is_written_into_the_checkout_alone(nights: Installed) -> None:
    nights.install(unattended="github")
    assert [path.name for path in nights.workflow.parent.iterdir()] == [nights.workflow.name]
    assert "unattended" not in nights.workflow.read_text().partition("jobs:")[2]
    assert not nights.config.exists()


def test_what_the_environment_chose_is_written_down(
    nights: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIXFORGE_CACHE", "ca che")
    monkeypatch.setenv("STRIXFORGE_JOBS", "3")
    monkeypatch.setenv("STRIXFORGE_STACK", "main")
    nights.install(environ=os.environ, jobs="2")
    home = nights.project.root
    line = f'ExecStart=/bin/sh "{home}/doit" "stack=main" "jobs=2" "cache={home}/ca che" "nightly"'
    assert line in nights.service.read_text().splitlines()


def test_a_stack_without_a_channel_has_no_nights(nights: Installed, tmp_path: Path) -> None:
    still = Installed(project(tmp_path / "still", channel=""), nights.config)
    with pytest.raises(UsageError) as caught:
        still.install()
    assert caught.value.what == "stack main follows no channel."
    assert "some" in caught.value.fix
    assert not nights.config.exists()
    still.install(channel="some")
    assert '"channel=some"' in nights.service.read_text()


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "\x1b[1m", "\udc80", "a\u2028b"])
def test_what_no_line_can_hold_is_refused(text: str) -> None:
    for night in (
        Night("main", Path("/a"), (f"then={text}",), dt.time(1)),
        Night("main", Path(f"/{text}"), (), dt.time(1)),
    ):
        with pytest.raises(UsageError) as caught:
            service(night)
        str(caught.value).encode()
    with pytest.raises(UsageError):
        workflow(Night("main", Path("/a"), (f"then={text}",), dt.time(1)))


def test_the_time_of_day_is_that_of_the_night() -> None:
    night = Night("main", Path("/a"), (), dt.time(4, 5))
    assert "OnCalendar=*-*-* 04:05:00\n" in timer(night)
    assert '- cron: "5 4 * * *"' in workflow(night)
