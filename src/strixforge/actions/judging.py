"""A candidate from its lock to its verdict, stage by stage."""

import time

from strixforge.actions.shown import host_error, with_words
from strixforge.actions.stages import STAGES, Trial, TrialError
from strixforge.actions.verdicts import moment
from strixforge.forge.prepare import remove_tree
from strixforge.model.errors import InterruptedRunError, StrixforgeError
from strixforge.model.pins import ArchivePin
from strixforge.nightly.candidate import Candidate, checkout
from strixforge.nightly.feed import Cause, Entry, Outcome, Toolchain
from strixforge.nightly.trial import Failed
from strixforge.workspace import Workspace


def judge(
    ws: Workspace,
    candidate: Candidate,
    pin: ArchivePin,
    archive: Toolchain,
    *,
    channel: str,
    against: Candidate | None,
    by_hand: bool = False,
) -> Entry:
    """Try a candidate. Returns its entry for the feed; nothing is promoted yet.

    Raises InterruptedRunError, and what is no error of ours.
    """
    now = Trial(ws, candidate, pin, archive, channel, against, by_hand)
    try:
        for stage in STAGES:
            now.stage = stage.__name__.strip("_")
            began = time.monotonic()
            try:
                stage(now)
            finally:
                now.seconds[now.stage] = round(time.monotonic() - began, 1)
    except InterruptedRunError:
        raise
    except TrialError as error:
        return _entry(now, error.failed)
    except StrixforgeError as error:
        told = with_words(error, now.ws.settings.words())
        return _entry(now, Failed(told.exit_code, str(told)))
    except OSError as error:  # a full disk says nothing of the release
        refused = host_error(error)
        return _entry(now, Failed(refused.exit_code, str(refused)))
    finally:
        _tidy(candidate)
    return _entry(now, None)


def _entry(now: Trial, failed: Failed | None) -> Entry:
    verdict: Outcome = failed.verdict if failed is not None else "promoted"
    entry = Entry(
        night=now.candidate.name,
        time=moment(),
        stack=now.ws.plan.stack,
        arch=now.ws.plan.arch,
        channel=now.channel,
        release=now.candidate.release,
        verdict=verdict,
        cause=Cause(now.stage, failed.code, _text(failed.block)) if failed is not None else None,
        pins=now.pins,
        toolchain=now.archive,
        kernels=now.kernels,
        smoke=now.smoke,
        wheelhouse=now.bytes,
        seconds=now.seconds,
        checkout=checkout(now.ws.settings.home),
    )
    begun = now.candidate.folder.glob(f"{now.candidate.prefix.name}.*")
    for made in (now.candidate.wheelhouse, now.candidate.prefix, *begun):
        if failed is not None and made.exists():
            remove_tree(made)
    return entry


def _text(shown: str) -> str:
    """Return what can be written down: names of files may be no text."""
    return shown.encode(errors="replace").decode()


def _tidy(candidate: Candidate) -> None:
    """Free what was only needed to build: the log, the lock and what was said of kernels stay."""
    build = candidate.project / "build"
    for one in build.iterdir() if build.is_dir() else ():
        if one.name != "state":
            remove_tree(one) if one.is_dir() else one.unlink()
