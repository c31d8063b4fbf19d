"""Start-up beside bare doit: `doit list`, and a run in which everything is up to date.

Usage: .venv/bin/python benchmarks/startup.py      (build the demo stack first)

Prints the median seconds of each command as a whole process, and its ratio to bare doit on an
empty dodo.py, measured in turn in the same run: figures of a noisy machine compare only so.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
RUNS = 11
DOIT = str(Path(sys.prefix) / "bin" / "doit")


def seconds(command: list[str], cwd: Path) -> float:
    """Return the wall time of one whole process. Raises when it fails."""
    started = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure, in turn, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder)
        (bare / "dodo.py").write_text('def task_nothing():\n    return {"actions": []}\n')
        commands: dict[str, tuple[list[str], Path]] = {
            "bare doit list": ([DOIT, "list"], bare),
            "doit list": ([DOIT, "list"], HOME),
            "doit wheelhouse, up to date": ([DOIT, "stack=demo", "wheelhouse"], HOME),
            "./doit list (with the wrapper)": ([str(HOME / "doit"), "list"], HOME),
        }
        for words, cwd in commands.values():
            seconds(words, cwd)  # warm: page cache, bytecode, and the stack built
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, (words, cwd) in commands.items():
                times[name].append(seconds(words, cwd))
    base = statistics.median(times["bare doit list"])
    print(f"{'command':<32}{'median s':>10}{'min s':>8}{'/ bare':>8}   ({RUNS} runs)")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<32}{median:>10.3f}{min(values):>8.3f}{median / base:>8.1f}")


if __name__ == "__main__":
    main()
