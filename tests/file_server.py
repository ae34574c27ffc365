"""An HTTP server on this machine whose files break off, are refused or wrong, as those of the world do."""

import hashlib
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = int | str | Callable[[], None]
"""What one request for a file meets:

    503         this code and nothing else
    "cut"       half of what is still to come, and then the end of the connection
    "wrong"     as many bytes, but others
    "hang"      the head, and then nothing
    a function  half of what is still to come, the call, and then the end of the connection
"""


class FileServer:
    """Files by path, faults by path (one a request, in turn), and the ranges that were asked for.

    As a proxy (`http_proxy`) it finds a file by its whole address.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.asked: list[tuple[str, str | None]] = []
        self.knows_ranges = True
        self.sends_etags = True
        self.sends_lengths = True
        self.headers: dict[str, str] = {}  # of every answer
        self.url = ""


@contextmanager
def file_server() -> Iterator[FileServer]:
    """A server that runs until the end of the block."""
    server = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(server, self)

        def do_HEAD(self) -> None:
            answer(server, self)

        def end_headers(self) -> None:
            for name, value in server.headers.items():
                self.send_header(name, value)
            super().end_headers()

        def do_CONNECT(self) -> None:
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that has gone is what these tests are about."""

    with Server(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server.url = f"http://127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        http.shutdown()


def answer(server: FileServer, handler: BaseHTTPRequestHandler) -> None:
    path = handler.path if handler.path.startswith("http") else handler.path.removeprefix("/")
    server.asked.append((path, handler.headers["Range"]))
    content = server.files.get(path)
    fault = server.faults[path].pop(0) if server.faults[path] else None
    if content is None or isinstance(fault, int):
        handler.send_error(fault if isinstance(fault, int) else 404)
        return
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")
    is_same = handler.headers["If-Range"] in (None, etag, server.headers.get("Last-Modified"))
    start = int(wanted[1]) if wanted and is_same and server.knows_ranges else 0
    if start >= len(content) > 0:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(content)}")
        handler.end_headers()
        return
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if server.sends_lengths:
        handler.send_header("Content-Length", str(len(content) - start))
    if server.sends_etags:
        handler.send_header("ETag", etag)
    handler.end_headers()
    rest = content[start:]
    if handler.command == "HEAD":
        return
    if fault is None:
        handler.wfile.write(rest)
    elif fault == "wrong":
        handler.wfile.write(bytes(255 - byte for byte in rest))
    elif fault == "hang":
        time.sleep(0.5)
    else:
        handler.wfile.write(rest[: len(rest) // 2])
        handler.wfile.flush()
        if callable(fault):
            fault()
