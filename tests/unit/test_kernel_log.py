"""The kernel's log: what came meanwhile, what of it is a fault, and a log that cannot be read."""

import errno
import json
import os
import secrets
from pathlib import Path

import pytest

from strixforge.model.errors import HostError
from strixforge.smoke import kernel_log
from strixforge.smoke.kernel_log import KMSG, Record, faults, opened

AMDGPU = "amdgpu 0000:c5:00.0: amdgpu: "


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (3, AMDGPU + "MES failed to respond to msg=REMOVE_QUEUE"),
        (3, AMDGPU + "[gfxhub] page fault (src_id:0 ring:24 vmid:3 pasid:32770)"),
        (3, "[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx_0.0.0 timeout, signaled seq=7"),
        (6, AMDGPU + "GPU reset begin!"),
        (6, AMDGPU + "VRAM is lost due to GPU reset!"),
        (6, AMDGPU + "[drm] device wedged, but recovered through reset"),
        (3, "amdgpu: anything that the driver calls an error"),
        (3, "kfd kfd: amdgpu: failed to add device 1002:1586"),
        (3, "[drm:gfx_v11_0_hw_fini [amdgpu]] *ERROR* failed to halt cp gfx"),
        (4, AMDGPU + "Fence fallback timer expired on ring sdma0"),
    ],
)
def test_a_fault_of_the_gpu_is_told(level: int, text: str) -> None:
    assert faults([Record(level, text)]) == [text]


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (6, "[drm] Initialized amdgpu 3.64.0 for 0000:c5:00.0 on minor 1"),
        (4, AMDGPU + "runpm: unable to wake"),
        (3, "usb 1-2: device descriptor read/64, error -71"),
        (6, "eth0: page fault"),
        (3, "nouveau 0000:01:00.0: [drm] *ERROR* fifo: fault"),
        (3, "snd_hda_intel 0000:c5:00.1: amdgpu bound failed"),
        (3, "amdgpu 0000:c5:00.0: [drm] *ERROR* dc_dmub_srv_log_diagnostic_data: DMCUB error"),
    ],
)
def test_what_others_say_is_none(level: int, text: str) -> None:
    assert faults([Record(level, text)]) == []


def may_write() -> bool:
    try:
        os.close(os.open(KMSG, os.O_RDWR | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not may_write(), reason="only root writes to the kernel's log")
def test_the_kernels_own_log_tells_what_came_and_nothing_from_before() -> None:
    mark = f"strixforge-test-{secrets.token_hex(4)}"
    KMSG.write_text(f"<6>{mark} before\n")
    with opened() as log:
        KMSG.write_text(f"<3>{mark} first\n")
        KMSG.write_text(f"<6>{mark} last\n")
        told = [one for one in log.new() if mark in one.text]
        assert told == [Record(3, f"{mark} first"), Record(6, f"{mark} last")]
        assert [one for one in log.new() if mark in one.text] == []


@pytest.mark.skipif(not may_write(), reason="only root reads the kernel's log everywhere")
def test_lines_that_were_lost_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as log:
        told = overwritten(monkeypatch, b"6,9,9,-;usb 1-2: new device")
        with pytest.raises(HostError, match="lost lines"):
            log.new()
        assert told == []


@pytest.mark.skipif(not may_write(), reason="only root reads the kernel's log everywhere")
def test_a_fault_counts_more_than_lines_that_were_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as log:
        overwritten(monkeypatch, f"6,9,9,-;{AMDGPU}GPU reset begin!".encode())
        assert faults(log.new()) == [f"{AMDGPU}GPU reset begin!"]


def overwritten(monkeypatch: pytest.MonkeyPatch, line: bytes) -> list[bytes]:
    """Stand for a buffer that was written over: EPIPE, and then what is left."""
    left = [line]
    errors = [OSError(errno.EPIPE, "Broken pipe")]

    def read(*_: object) -> bytes:
        if errors:
            raise errors.pop()
        if left:
            return left.pop()
        raise BlockingIOError

    monkeypatch.setattr(os, "read", read)
    return left


def test_another_device_in_its_place_is_no_log(no_journal: None) -> None:
    del no_journal
    with pytest.raises(HostError, match="cannot be read") as caught:
        opened(Path("/dev/null"))
    assert "it holds no record" in caught.value.where
    assert "systemd-journal" in caught.value.fix


def test_no_permission_and_no_journal_is_no_log(no_journal: None, tmp_path: Path) -> None:
    del no_journal
    with pytest.raises(HostError, match="cannot be read"):
        opened(tmp_path / "kmsg")


@pytest.fixture
def no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a journalctl that has nothing to show to this user."""
    journal(tmp_path, monkeypatch, "exit 0")


def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_the_journal_is_read_from_its_last_line_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_log, "_JOURNAL_LATE", 0)
    rows = [
        {"__CURSOR": f"s=a;i={n}", "PRIORITY": "3", "MESSAGE": f"amdgpu: line {n}"}
        for n in range(3)
    ]
    for row in rows:
        (tmp_path / str(row["__CURSOR"])).write_text(json.dumps(row))
    # With a cursor, what comes behind it; else the last line.
    journal(
        tmp_path,
        monkeypatch,
        f"""
cd {tmp_path}
case "$*" in
    *--after-cursor=s=a\\;i=0) cat s=a\\;i=1; echo; cat s=a\\;i=2 ;;
    *--after-cursor=*) ;;
    *--lines=1*) cat s=a\\;i=0 ;;
esac""",
    )
    with opened(tmp_path / "no-kmsg") as log:
        assert [one.text for one in log.new()] == ["amdgpu: line 1", "amdgpu: line 2"]
        assert log.new() == []


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ('"amdgpu: plain"', "amdgpu: plain"),
        (json.dumps(list(b"amdgpu: \xff")), "amdgpu: \ufffd"),
        ("null", None),
    ],
)
def test_messages_that_are_no_text_are_read_or_told(
    message: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_log, "_JOURNAL_LATE", 0)
    first = '{"__CURSOR": "c", "PRIORITY": "6", "MESSAGE": "hello"}'
    row = f'{{"__CURSOR": "d", "PRIORITY": "3", "MESSAGE": {message}}}'
    journal(
        tmp_path,
        monkeypatch,
        f"case \"$*\" in *--lines=1*) echo '{first}';; *) echo '{row}';; esac",
    )
    with opened(tmp_path / "no-kmsg") as log:
        if found is None:
            with pytest.raises(HostError):
                log.new()
        else:
            assert log.new() == [Record(3, found)]


def test_a_row_without_its_fields_is_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal(tmp_path, monkeypatch, 'echo \'{"__CURSOR": "c"}\'')
    with pytest.raises(HostError, match="cannot be read"):
        opened(tmp_path / "no-kmsg")


def test_a_journal_that_fails_meanwhile_is_no_clean_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_log, "_JOURNAL_LATE", 0)
    row = json.dumps({"__CURSOR": "c", "PRIORITY": "6", "MESSAGE": "hello"})
    words = f"case \"$*\" in *--lines=1*) echo '{row}' ;; *) exit 1 ;; esac"
    journal(tmp_path, monkeypatch, words)
    with opened(tmp_path / "no-kmsg") as log, pytest.raises(HostError, match="lost lines"):
        log.new()
