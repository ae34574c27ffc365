"""Files from the network, checked: several addresses in turn, going on after interruptions, kept in one folder.

What has arrived of a file lies in NAME.partial beside its place, with the server's mark of this version of it in
NAME.partial.json; a file has its own name only when it is whole and its sum is right. Proxies are those of the
environment (https_proxy and so on).
"""

import hashlib
import http.client
import json
import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Some of the servers refuse every client that calls itself Python.
_USER_AGENT = "Mozilla/5.0 (compatible; seq2seq data_scripts)"
_CHUNK_BYTES = 2**18
_WAITS_S = (1, 4, 15)  # before each further try at an address that has given nothing since the last one
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # HTTP codes that may be gone in some seconds
_MAGIC = {".gz": b"\x1f\x8b", ".tgz": b"\x1f\x8b", ".zip": b"PK", ".bz2": b"BZh", ".xz": b"\xfd7zXZ"}


class Source(NamedTuple):
    """A file to fetch, and what is known of it."""

    name: str  # in the folder, and on a mirror
    url: str
    digest: str | None = None  # "sha256:..." or "md5:..." where there is a public record
    num_bytes: int | None = None


class Download(NamedTuple):
    """A file that is there."""

    path: Path
    url: str | None  # None: it was there before
    num_bytes: int
    sha256: str
    checked_against: str | None  # the digest that it was found to have


class _UnusableError(Exception):
    """This address will not give the file."""


class _TryAgainError(Exception):
    """The address may give the file, or the rest of it, if asked again."""


class Downloads:
    """A folder of downloaded files.

    Args:
        folder: where they are looked for first, and put; files placed there by hand are checked in the same way.
        mirror: an address under which all files lie by their names; it is asked first.
        digests: by file name, in place of those of the sources: "sha256:..." or "md5:...".
        offline: whether to do with what the folder holds.
        timeout_s: how long a server may say nothing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mirror: str | None = None,
        digests: dict[str, str] | None = None,
        offline: bool = False,
        timeout_s: float = 30,
    ) -> None:
        self.folder = folder
        self._mirror = mirror
        self._digests = digests or {}
        self._is_offline = offline
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener()
        self._wanted: dict[tuple[Source, ...], None] = {}
        self._got: dict[tuple[Source, ...], Download] = {}

    def want(self, *copies: Source) -> None:
        """Remembers that one of these copies of a file will be needed, for `fetch`."""
        self._wanted[copies] = None

    @property
    def names(self) -> set[str]:
        """What the wanted files are called, in all copies."""
        return {copy.name for copies in self._wanted for copy in copies}

    def fetch(self) -> None:
        """Gets all files that are wanted; for errors see `get`."""
        for copies in self._wanted:
            self.get(*copies)

    def record(self) -> list[dict[str, Any]]:
        """What corpus.json says of the files that there are."""
        return [download._asdict() | {"path": download.path.name} for download in self._got.values()]

    def get(self, *copies: Source) -> Download:
        """The first of several copies of a file that can be had; they may differ in name, format and sum.

        Raises:
            ValueError: a file in the folder is not the right one.
            OSError: none can be had, or the disk is full; the message says what to place where by hand.
        """
        self.want(*copies)
        if copies not in self._got:
            self._got[copies] = self._get(copies)
        return self._got[copies]

    def _get(self, copies: tuple[Source, ...]) -> Download:
        copies = tuple(
            copy._replace(digest=self._digests[copy.name], num_bytes=None) if copy.name in self._digests else copy
            for copy in copies
        )
        for copy in copies:
            path = self.folder / copy.name
            if path.is_file():
                sha256, flaw = _examine(copy, path)
                if flaw:
                    raise ValueError(f"{path} {flaw}; delete it, and it will be downloaded again")
                return Download(path, None, path.stat().st_size, sha256, copy.digest)
        if self._is_offline:
            raise FileNotFoundError(f"--offline was given, but {self._by_hand()}")
        self.folder.mkdir(parents=True, exist_ok=True)
        failures = []
        for copy, url in self._addresses(copies):
            try:
                return self._download(copy, url)
            except _UnusableError as error:
                failures.append(f"{url} ({error})")
        # Without the passwords that may stand in them.
        proxies = {url.rpartition("@")[2] for scheme, url in urllib.request.getproxies().items() if scheme != "no"}
        through = f"; proxies: {', '.join(sorted(proxies))}" if proxies else ""
        raise ConnectionError(
            f"cannot download {copies[0].name}: tried {', '.join(failures)}{through}; {self._by_hand()}"
        )

    def _by_hand(self) -> str:
        """What is still missing, for people to put in its place."""
        missing = [
            f"{copies[0].name} from {copies[0].url}"
            for copies in self._wanted
            if not any((self.folder / copy.name).is_file() for copy in copies)
        ]
        return f"these files are missing in {self.folder}: {', '.join(missing)}"

    def _addresses(self, copies: tuple[Source, ...]) -> Iterator[tuple[Source, str]]:
        if self._mirror:
            for name, copy in {copy.name: copy for copy in copies}.items():
                yield copy, f"{self._mirror.rstrip('/')}/{name}"
        for copy in copies:
            yield copy, copy.url

    def _download(self, copy: Source, url: str) -> Download:
        """One file from one address, in as many pieces as it takes."""
        path = self.folder / copy.name
        partial = path.with_name(f"{path.name}.partial")
        is_from_before = _size(partial) > 0
        waits, most = iter(_WAITS_S), _size(partial)
        while True:
            try:
                self._transfer(copy, url, partial)
            except _TryAgainError as error:
                if _size(partial) > most:
                    waits, most = iter(_WAITS_S), _size(partial)
                elif (wait_s := next(waits, None)) is None:
                    raise _UnusableError(str(error)) from None
                else:
                    time.sleep(wait_s)
                continue
            sha256, flaw = _examine(copy, partial)
            if not flaw:
                break
            # What came from another address, or was written when the power failed, may have been wrong.
            _discard(partial)
            if not is_from_before:
                raise _UnusableError(flaw)
            is_from_before = False
        num_bytes = _size(partial)
        _note(partial).unlink(missing_ok=True)
        os.replace(partial, path)
        advice = "" if copy.digest else f", checked against nothing: pin it with --sha256 {copy.name}={sha256}"
        print(f"{path}: {num_bytes:,} bytes, SHA-256 {sha256}{advice}", file=sys.stderr)
        return Download(path, url, num_bytes, sha256, copy.digest)

    def _transfer(self, copy: Source, url: str, partial: Path) -> None:
        """Appends to the partial file what is missing, or begins anew where the server or caution asks for it."""
        try:
            note = json.loads(_note(partial).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            note = {}
        version = note.get("version") if note.get("url") == url else None
        # Without a mark of the version only a known sum can show that both pieces belong together.
        start = _size(partial) if version or copy.digest else 0
        headers = {"User-Agent": _USER_AGENT}
        if start:
            headers["Range"] = f"bytes={start}-"
            if version:
                headers["If-Range"] = version
        with self._open(url, headers) as response:
            part = response.headers.get("Content-Range", "")
            if response.status == 416 and part == f"bytes */{start}":
                return  # all of it has arrived
            if response.status == 416 or (response.status == 206 and not part.startswith(f"bytes {start}-")):
                _discard(partial)
                raise _TryAgainError(f"HTTP {response.status} for a part from byte {start:,} on")
            start = start if response.status == 206 else 0
            length = response.headers.get("Content-Length")
            total = start + int(length) if length and length.isdigit() else None
            if copy.num_bytes and total and total != copy.num_bytes:
                raise _UnusableError(f"it has {total:,} bytes, not {copy.num_bytes:,}")
            self._check_room((total or copy.num_bytes or 0) - start)
            if not start:
                partial.unlink(missing_ok=True)  # before the note, which must never belong to older bytes
                etag = response.headers.get("ETag", "")
                version = etag if etag.startswith('"') else response.headers.get("Last-Modified")
                _note(partial).write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")
            self._append(response, partial, total, copy.name)
        if total is not None and _size(partial) < total:
            raise _TryAgainError(f"the connection ended after {_size(partial):,} of {total:,} bytes")

    def _open(self, url: str, headers: dict[str, str]) -> Any:
        """The server's answer: all of the file, the part asked for, or that there is no such part."""
        try:
            return self._opener.open(urllib.request.Request(url, headers=headers), timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                return error
            error.close()
            kind = _TryAgainError if error.code in _TEMPORARY else _UnusableError
            raise kind(f"HTTP {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            is_temporary = isinstance(error.reason, TimeoutError | ConnectionResetError)
            reason = "no such host" if isinstance(error.reason, socket.gaierror) else error.reason
            raise (_TryAgainError if is_temporary else _UnusableError)(str(reason)) from None
        except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
            raise _TryAgainError(str(error) or type(error).__name__) from None
        except ValueError as error:
            raise _UnusableError(str(error)) from None  # it is no address

    def _append(self, response: Any, partial: Path, total: int | None, name: str) -> None:
        began_s, began_bytes, shown_s = time.monotonic(), _size(partial), 0.0
        of = f" of {total / 1e6:.1f}" if total else ""
        try:
            with partial.open("ab") as file:
                while chunk := _read(response):
                    try:
                        file.write(chunk)
                        file.flush()
                    except OSError as error:  # a full disk: no other address would help
                        raise OSError(error.errno, error.strerror, str(partial)) from None
                    now_s, num_bytes = time.monotonic(), file.tell()
                    if sys.stderr.isatty() and (now_s - shown_s > 0.5 or num_bytes == total):
                        shown_s = now_s
                        rate = (num_bytes - began_bytes) / 1e6 / max(now_s - began_s, 1e-3)
                        print(f"\r{name}: {num_bytes / 1e6:.1f}{of} MB, {rate:.1f} MB/s ", end="", file=sys.stderr)
        finally:
            if shown_s:
                print(file=sys.stderr)

    def _check_room(self, num_bytes: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if num_bytes > free:
            raise OSError(f"no room in {self.folder}: {num_bytes:,} bytes are still to come, {free:,} are free")


def _read(response: Any) -> bytes:
    try:
        chunk: bytes = response.read1(_CHUNK_BYTES)  # what there is, without waiting for more
        return chunk
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(str(error) or type(error).__name__) from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _note(partial).unlink(missing_ok=True)


def _note(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _examine(copy: Source, path: Path) -> tuple[str, str | None]:
    """SHA-256 of the file, and what is wrong with it."""
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if copy.num_bytes is not None and path.stat().st_size != copy.num_bytes:
            return sha256, f"has {path.stat().st_size:,} bytes, not {copy.num_bytes:,}"
        if copy.digest:
            algorithm, _, wanted = copy.digest.partition(":")
            file.seek(0)
            found = sha256 if algorithm == "sha256" else hashlib.file_digest(file, algorithm).hexdigest()
            return sha256, None if found == wanted else f"has the {algorithm} sum {found}, not {wanted}"
    # Without a sum at least a login page does not pass for an archive.
    suffix = Path(copy.name).suffix
    return sha256, None if head.startswith(_MAGIC.get(suffix, b"")) else f"is no {suffix} file: it begins {head!r}"
