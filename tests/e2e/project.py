"""A tiny strixforge project in a temporary folder, driven through the real command line."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[2]
DOIT = str(Path(sys.executable).parent / "doit")
EPOCH = 1767225600
# No test waits longer for one command; a step that sleeps ends by itself after STEP_SECONDS.
COMMAND_SECONDS = 120
STEP_SECONDS = 60


def poll(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait until `condition` holds. Fails naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s: not {what}")
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended: its exit code, and all that it wrote."""

    code: int
    text: str

    def check(self, code: int, *sentences: str) -> str:
        """Assert the exit code, that each sentence was said, and that nobody saw a traceback.

        The variables of the run, which hints repeat after ./doit, are left out. Returns the text.
        """
        assert self.code == code, f"exit code {self.code}, not {code}:\n{self.text}"
        plain = re.sub(r"(?<=\./doit )(?:[a-z]+=\S* )+", "", self.text)
        for sentence in sentences:
            assert sentence in plain, f"not said: {sentence!r}\n{self.text}"
        assert "Traceback" not in self.text, self.text
        return self.text


@dataclass
class Component:
    """What a test says of one component; the rest has defaults."""

    name: str
    steps: Sequence[str]
    files: Mapping[str, str] = field(default_factory=lambda: {"hello.txt": "hello\n"})
    needs: Sequence[str] = ()
    output: str = "prefix"
    paths: Sequence[str] = ()
    version: str = "1.0.0"
    pin: Mapping[str, Any] = field(default_factory=dict)
    """Other keys of the pin; without `source`, the files are a local source."""
    head: str = ""
    """Text above the recipe."""
    env: Mapping[str, str] = field(default_factory=dict)
    is_built: bool = True
    """Whether the recipe has steps; without them the output is the source as it is."""


class Project:
    """Pins, recipes, patches and sources below `home`, and the commands that use them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = home / "build" / "store"
        self.cache = home / "cache"
        self.logs = home / "build" / "logs" / "tiny"
        self.marker = f"strix-{secrets.token_hex(8)}"
        """In the environment of every step, so that no process of this project can hide."""
        self.components: dict[str, Component] = {}
        self.sandbox = "auto"
        self.repositories = ""
        """Tables of the lock for package archives, as text."""
        home.mkdir(parents=True, exist_ok=True)
        for name in ("dodo.py", "policy.toml"):
            shutil.copy(REPOSITORY / name, home)
        self._git("init", "--quiet")

    def add(self, name: str, *steps: str, **more: Any) -> Component:
        """Add a component; without steps it copies its sources to the output."""
        made = Component(name, steps or ("cp -r . {{ out }}",), **more)
        self.components[name] = made
        self.write()
        return made

    def write(self) -> None:
        """Write lock, recipes and sources as the components say."""
        lines = ['version = 1\ndefault = "tiny"\n[stack.tiny]\nsummary = "a stack for tests"\n']
        for one in self.components.values():
            pin: dict[str, Any] = {"component": one.name, "version": one.version, "epoch": EPOCH}
            if "source" not in one.pin:
                pin |= {"source": "local", "path": f"examples/{one.name}"}
                for name, text in one.files.items():
                    place = self.home / "examples" / one.name / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_text(text)
            lines.append(f"[[stack.tiny.pin]]\n{_toml(pin | dict(one.pin))}")
            recipe = self.home / "recipes" / f"{one.name}.toml"
            recipe.parent.mkdir(exist_ok=True)
            build = _toml({"steps": list(one.steps)})
            build += "[build.env]\n" + _toml({"MARKER": self.marker, **one.env})
            recipe.write_text(
                one.head
                + _toml(
                    {
                        "summary": f"a tiny component: {one.name}",
                        "license": "Apache-2.0",
                        "output": one.output,
                        "needs": list(one.needs),
                        "verified": "compile",
                    }
                )
                + ("[build]\n" + build if one.is_built else "")
                + "[check]\n"
                + _toml({"paths": list(one.paths)})
            )
        patches = sorted(self.home.glob("patches/*/*.patch"))
        digests = {
            f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
            for path in patches
        }
        lines.append(self.repositories)
        lines.append("[patches]\n" + "".join(f'"{k}" = "{v}"\n' for k, v in digests.items()))
        (self.home / "toolchain.lock").write_text("\n".join(lines))
        if (self.home / "examples").is_dir():
            self._git("add", "--all", "examples")

    def patch(self, component: str, name: str, diff: str, header: str = "") -> Path:
        """Write a patch with a whole header, and lock it; `header` holds more fields."""
        path = self.home / "patches" / component / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "Description: a patch of the tests\nAuthor: strixforge\nForwarded: no\n"
            f"Last-Update: 2026-01-01\nApplies-To: {component}\n{header}\n{diff}"
        )
        self.write()
        return path

    def source(self, component: str, name: str) -> Path:
        """Return the path of a source file."""
        return self.home / "examples" / component / name

    def command(self, *words: str) -> list[str]:
        """Return the command line of one doit run."""
        stated = {"stack": "tiny", "cache": str(self.cache), "sandbox": self.sandbox}
        given = {word.partition("=")[0] for word in words}
        variables = [f"{name}={value}" for name, value in stated.items() if name not in given]
        return [DOIT, "-f", str(self.home / "dodo.py"), *variables, *words]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return a plain user's environment, and `more`."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.home / "user"), "TERM": "dumb", **(more or {})}

    def doit(self, *words: str, env: Mapping[str, str] | None = None) -> Done:
        """Run doit to its end."""
        return self.run(self.command(*words), env=env)

    def check_store(self) -> None:
        """Hash everything in the store, and assert that nothing was damaged."""
        assert "set aside" not in self.doit("verify").check(0, "are whole")

    def run(self, command: list[str], env: Mapping[str, str] | None = None) -> Done:
        """Run any command to its end."""
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        return Done(done.returncode, done.stdout)

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator["Run"]:
        """Start doit in a process group of its own; it is gone when the block is left."""
        output = self.home / f"output-{secrets.token_hex(4)}"
        with output.open("wb") as file:
            run = Run(self, words, file)
        try:
            yield run
        finally:
            run.kill_group()
            run.wait()

    def record(self, component: str) -> dict[str, Any]:
        """Return {key, output} that the component was last built or restored to."""
        state = self.home / "build" / "state" / "tiny" / f"{component}.json"
        return dict(json.loads(state.read_text()))

    def output(self, component: str) -> Path:
        """Return the folder of the component's stored output."""
        return self.store / "objects" / str(self.record(component)["output"]) / "tree"

    def log(self, component: str) -> str:
        """Return the log of the component's last build."""
        path = self.logs / f"{component}.log"
        return path.read_text() if path.exists() else ""

    def files(self) -> set[str]:
        """Return all that the runs have written: everything in build/ and in the cache."""
        places = (self.home / "build", self.cache / "sha256", self.cache / "partial")
        return {str(path) for place in places for path in place.rglob("*")}

    def processes(self) -> list[str]:
        """Return the command lines of all processes that a step of this project started."""
        marker = self.marker.encode()
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (place / "cmdline").read_bytes()
                if marker in line or marker in (place / "environ").read_bytes():
                    found.append(f"{place.name} {line.replace(bytes(1), b' ')[:300]!r}")
        return found

    def end_processes(self) -> None:
        """Kill what a failed test left behind."""
        for line in self.processes():
            with contextlib.suppress(OSError):
                os.kill(int(line.split()[0]), signal.SIGKILL)

    def _git(self, *words: str) -> None:
        subprocess.run(["git", "-C", str(self.home), *words], check=True, capture_output=True)


class Run:
    """A running doit."""

    def __init__(self, project: Project, words: tuple[str, ...], output: IO[bytes]) -> None:
        self._output = Path(output.name)
        self.process = subprocess.Popen(
            project.command(*words),
            cwd=project.home,
            env=project.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def text(self) -> str:
        """What it has written so far."""
        return self._output.read_text()

    def wait(self, seconds: float = COMMAND_SECONDS) -> Done:
        """Wait for its end."""
        return Done(self.process.wait(timeout=seconds), self.text)

    def kill_group(self) -> None:
        """Send SIGKILL to doit and all that share its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _toml(table: Mapping[str, Any]) -> str:
    """Write a flat table; JSON's strings, numbers and lists of them are TOML's too."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())
