"""Another stack that fits this machine better: the real stacks, on machines of made sizes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from strixforge.actions import planning
from strixforge.host import machine
from strixforge.host.gpu import Gpu, Gpus, Host
from strixforge.model.policy import HostRule
from strixforge.opening import open_workspace
from strixforge.policy import Policy
from strixforge.workspace import Workspace

HOME = Path(__file__).parents[2]
GIB = 1 << 30
Become = Callable[[Host, int], None]
NEW = Host(Gpus((Gpu("gfx1151", {"cwsr_size": 17616896}),), frozenset()), "7.0.0")
NO_GPU = Host(Gpus((), frozenset()), "6.1.0")


def stack(name: str, **more: str) -> Workspace:
    return open_workspace(HOME, {"stack": name, **more}, {})


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Become:
    """Return a function that makes this machine another one."""

    def become(host: Host, gib: int) -> None:
        monkeypatch.setattr(planning, "find_host", lambda: host)
        monkeypatch.setattr(machine, "memory", lambda: gib * GIB)

    return become


def test_too_little_memory_for_one_component(on: Become) -> None:
    on(NO_GPU, 24)
    assert planning.better_stack(stack("rocm-6.4.4")) == (
        "therock",
        "hipblaslt needs more memory than the 24 GiB of this machine",
    )


def test_a_kernel_that_the_rocm_does_not_work_with(on: Become) -> None:
    on(NEW, 128)
    better = planning.better_stack(stack("rocm-6.4.4"))
    assert better is not None
    assert better[0] == "therock"
    assert "rule save-area-of-gfx1151" in better[1]


def test_enough_memory_and_no_gpu_that_a_rule_speaks_of(on: Become) -> None:
    on(NO_GPU, 128)
    assert planning.better_stack(stack("rocm-6.4.4")) is None


def test_what_is_built_for_elsewhere_asks_nothing_of_the_kernel_here(on: Become) -> None:
    on(NEW, 128)
    assert planning.better_stack(stack("rocm-6.4.4", target="elsewhere")) is None


def test_a_stack_that_a_rule_refuses_here_is_not_better(on: Become) -> None:
    on(NEW, 24)
    ws = stack("rocm-6.4.4")
    every = HostRule("none-works", "refuse", "gfx1151", "a test", ("a test",))
    rules = ws.policy.rules._replace(hosts=(every,))
    ws.policy = Policy(rules, HOME / "policy.toml", ws.lock)
    assert planning.better_stack(ws) is None
