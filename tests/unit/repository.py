"""Real git repositories."""

import os
import subprocess
from pathlib import Path


class Repository:
    """One repository on disk, with a helper for each thing that the tests do to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    @property
    def url(self) -> str:
        """Its file address."""
        return self.path.as_uri()

    def git(self, *arguments: str) -> str:
        """Run git in it; returns its output."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
        who = {
            f"GIT_{role}_{field}": "test"
            for role in ("AUTHOR", "COMMITTER")
            for field in ("NAME", "EMAIL")
        }
        alone = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments],
            cwd=self.path,
            env=clean | who | alone,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def commit(self, **files: str) -> str:
        """Write files, commit all there is, and return the commit."""
        for name, text in files.items():
            self.write(name, text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=a change")
        return self.git("rev-parse", "HEAD")

    def submodule(self, url: str, path: str) -> None:
        """Add a submodule; `url` may be relative to this repository."""
        self.git("submodule", "--quiet", "add", "--", url, path)
