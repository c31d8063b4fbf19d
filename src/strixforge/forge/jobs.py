"""How many compiler jobs a build may start: the fewer of cores and memory."""

import os
from collections.abc import Callable

import psutil


def grant_jobs(
    memory_per_job: int,
    wanted: int | None,
    *,
    cores: Callable[[], int] = lambda: len(os.sched_getaffinity(0)),
    available: Callable[[], int] = lambda: int(psutil.virtual_memory().available),
) -> int:
    """Return min(cores, available memory / memory of a job), at least 1, at most `wanted`.

    `memory_per_job` in bytes, from the recipe.
    """
    jobs = max(1, min(cores(), available() // memory_per_job))
    return min(jobs, wanted) if wanted else jobs
