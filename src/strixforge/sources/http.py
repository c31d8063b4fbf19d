"""Downloads over HTTP: retried, resumed, and known by sha256."""

import hashlib
import re
import shutil
from collections.abc import Callable
from functools import cache as memoize
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from strixforge.model.digests import file_sha256
from strixforge.model.errors import FetchError, IntegrityError
from strixforge.sources.cache import Cache

Progress = Callable[[int, int | None], None]
_ATTEMPTS = 5
"""Tries in a row that bring nothing new, before giving up."""
TIMEOUT = (20, 60)  # seconds to connect, seconds between two reads
_CHUNK = 1 << 16  # what is lost at most when a connection ends


@memoize
def session(verify: str | bool = True) -> requests.Session:  # noqa: FBT002 - requests' own name and form
    """Return the HTTP session: retries with growing pauses on refusals and 5xx.

    `verify` is a CA file, or True for the system's own.
    """
    made = requests.Session()
    made.verify = verify
    retry = Retry(
        total=4,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
        retry_after_max=60,
    )
    for scheme in ("http://", "https://"):
        made.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=16))
    made.headers["User-Agent"] = "strixforge"
    return made


def file_name(url: str) -> str:
    """Return the last part of a URL's path, safe as a file name."""
    name = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    return re.sub(r"[^\w.+!~=-]", "_", name, flags=re.ASCII).lstrip(".")[-200:] or "download"


def without_secrets(url: str) -> str:
    """Return a URL without the user and password that an index address may carry."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def download(
    url: str,
    sha256: str,
    cache: Cache,
    progress: Callable[[int, int | None], None],
    *,
    what: str,
    verify: str | bool = True,
) -> Path:
    """Bring one file into the cache, resuming an earlier try. Returns its path there.

    `verify` is a CA file or True. Raises FetchError when the server does not give it, and
    IntegrityError when it gives other bytes.
    """
    with cache.locked(sha256):
        while (found := cache.find(sha256)) is not None:  # here, then in the mirror
            if file_sha256(found) == sha256:
                return found
            found.unlink()
            found.parent.rmdir()
        if urlsplit(url).scheme == "file":
            return _copy(url, sha256, cache, what=what)
        partial = cache.partial(sha256)
        while True:
            resumed = _arrive(url, partial, progress, what=what, verify=verify)
            got = file_sha256(partial)
            if got == sha256:
                return cache.add(partial, sha256, file_name(url))
            partial.unlink()
            if not resumed:
                raise _wrong_bytes(url, what, sha256, got)


def _arrive(url: str, partial: Path, progress: Progress, *, what: str, verify: str | bool) -> bool:
    """Receive all of a file, going on where a connection ended. Say whether any of it was resumed.

    Raises FetchError when several tries in a row brought nothing new.
    """
    fruitless, resumed = 0, False
    while True:
        had = _size(partial)
        resumed = resumed or had > 0
        try:
            _receive(url, partial, progress, verify=verify)
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            fruitless = 0 if _size(partial) >= had + _CHUNK else fruitless + 1
            if fruitless == _ATTEMPTS or _is_final(error):
                raise _not_fetched(url, what, error) from None
        else:
            return resumed


def first_download(url: str, cache: Cache, progress: Progress, *, what: str) -> str:
    """Bring a file into the cache whose hash nobody knows yet; return its sha256.

    Whoever trusts that hash from then on trusts this one download. Raises FetchError.
    """
    partial = cache.partial(hashlib.sha256(url.encode()).hexdigest())
    partial.unlink(missing_ok=True)
    if urlsplit(url).scheme == "file":
        try:
            shutil.copyfile(unquote(urlsplit(url).path), partial)
        except (OSError, ValueError) as error:
            raise _not_read(url, what, error) from None
    else:
        _arrive(url, partial, progress, what=what, verify=True)
    sha256 = file_sha256(partial)
    cache.add(partial, sha256, file_name(url))
    return sha256


def read(url: str, *, limit: int, what: str) -> bytes:
    """Return a small file whose hash or signature the caller checks; at most `limit` bytes.

    Raises FetchError, or MissingFileError where the server does not have it.
    """
    if urlsplit(url).scheme == "file":
        try:
            content = Path(unquote(urlsplit(url).path)).read_bytes()
        except (OSError, ValueError) as error:
            raise _not_read(url, what, error) from None
    else:
        try:
            with session().get(
                url, headers={"Accept-Encoding": "identity"}, stream=True, timeout=TIMEOUT
            ) as reply:
                reply.raise_for_status()
                content = reply.raw.read(limit + 1, decode_content=False)
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise _not_fetched(url, what, error) from None
    if len(content) > limit:
        raise FetchError(
            f"{what} is larger than any real one.",
            where=without_secrets(url),
            cause=f"More than {limit} bytes: the server answers with something else.",
            fix="Use another mirror.",
        )
    return content


def _receive(
    url: str, partial: Path, progress: Callable[[int, int | None], None], *, verify: str | bool
) -> None:
    """Append to `partial` what is still missing of `url`."""
    have = _size(partial)
    headers = {"Accept-Encoding": "identity"}  # the hash is of the file as it is stored
    if have:
        headers["Range"] = f"bytes={have}-"
    with session(verify).get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
        if reply.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is missing; the hash decides
        reply.raise_for_status()
        if reply.status_code != requests.codes.partial_content:
            have = 0
        length = reply.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        with partial.open("ab" if have else "wb") as file:
            for chunk in reply.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                have += len(chunk)
                progress(have, total)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _copy(url: str, sha256: str, cache: Cache, *, what: str) -> Path:
    """Take a file:// location, as a machine's own index may have it."""
    partial = cache.partial(sha256)
    try:
        shutil.copyfile(unquote(urlsplit(url).path), partial)
    except (OSError, ValueError) as error:
        raise _not_read(url, what, error) from None
    got = file_sha256(partial)
    if got != sha256:
        partial.unlink()
        raise _wrong_bytes(url, what, sha256, got)
    return cache.add(partial, sha256, file_name(url))


def _is_final(error: Exception) -> bool:
    """Say whether trying again is pointless: the session has retried what is no broken stream."""
    return not isinstance(error, urllib3.exceptions.HTTPError)


class MissingFileError(FetchError):
    """The server is there, and does not have the file."""


def _not_read(url: str, what: str, error: OSError | ValueError) -> FetchError:
    kind = MissingFileError if isinstance(error, FileNotFoundError) else FetchError
    return kind(
        f"{what} could not be read: {getattr(error, 'strerror', '') or error}.",
        where=url,
        cause="The file has moved, was removed, or is not yours to read.",
        fix="Put it back, or mend the pin.",
    )


def _not_fetched(url: str, what: str, error: Exception) -> FetchError:
    reply = getattr(error, "response", None)
    if reply is not None:
        kind = MissingFileError if reply.status_code in (404, 410) else FetchError
        return kind(
            f"{what}: the server answered {reply.status_code} {reply.reason}.",
            where=without_secrets(url),
            cause="The file has moved or was removed."
            if kind is MissingFileError
            else "The server refuses it, or is in trouble.",
            fix="Open the address in a browser; mend the pin if it moved, else try again later.",
        )
    return FetchError(
        f"{what} could not be downloaded: {_root_cause(error)}.",
        where=without_secrets(url),
        cause="No network, a proxy that is not set, or a host that is down.",
        fix="Try again: what has arrived is kept. Finished sources are in the cache.",
    )


def _root_cause(error: BaseException) -> str:
    """Return the innermost reason; requests wraps it three times."""
    reason = getattr(error, "reason", None) or next(
        (arg for arg in error.args if isinstance(arg, BaseException)), None
    )
    if isinstance(reason, BaseException) and reason is not error:
        return _root_cause(reason)
    return str(error).strip().rstrip(".") or type(error).__name__


def _wrong_bytes(url: str, what: str, wanted: str, got: str) -> IntegrityError:
    return IntegrityError(
        f"{what}: the downloaded bytes are not those of the lock.",
        where=without_secrets(url),
        cause=f"sha256 {got}; the lock says {wanted}. The file was replaced, or the pin is wrong.",
        fix="Do not build this. Find out which is right before changing the lock.",
    )
