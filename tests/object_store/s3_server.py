"""A local S3 server as a process: `python -m tests.object_store.s3_server FILE` writes its port to FILE.

moto looks at the condition of a PUT and stores the object in two steps; a real store does both in one. A
lock around each request that writes makes it one here too.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class OneWriteAtATime:
    """The application, with requests that change something one after the other."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return list(self._application(environ, start_response))
        with self._lock:
            return list(self._application(environ, start_response))


def writes_one_at_a_time() -> OneWriteAtATime:
    """The S3 server's application."""
    return OneWriteAtATime(DomainDispatcherApplication(create_backend_app))


def serve(application: Any, port_file: Path) -> None:
    """Serve on a free port of this machine, which `port_file` tells, until the process is ended."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    staged = port_file.with_suffix(".staged")
    staged.write_text(str(server.port))
    staged.replace(port_file)
    server.serve_forever()


if __name__ == "__main__":
    serve(writes_one_at_a_time(), Path(sys.argv[1]))
