"""Google's XML API as a process: `python -m tests.object_store.google_server FILE` writes its port to FILE.

Google's API is S3's, but for the names of its headers and for conditions, which are on an object's
generation: 0 is an object that is not there yet (Cloud Storage, "Request preconditions" of the XML API).
So the S3 server of the tests answers, and what it is asked and answers is renamed here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.object_store.s3_server import serve, writes_one_at_a_time

# The S3 server looks for whose key signed, and not at the signature.
_ANYBODY = (
    "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)

_HEADERS = {"HTTP_X_GOOG_COPY_SOURCE": "HTTP_X_AMZ_COPY_SOURCE"}


class InGooglesWords:
    """The application behind Google's names."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = {_HEADERS.get(name, name): value for name, value in environ.items()}
        asked["HTTP_AUTHORIZATION"] = _ANYBODY
        generation = asked.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None)
        if generation is not None:
            assert generation == "0", "only objects that are not there yet are asked for"
            asked["HTTP_IF_NONE_MATCH"] = "*"

        def told(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, ("x-goog-generation", "1")], *more)

        return self._application(asked, told)


if __name__ == "__main__":
    serve(InGooglesWords(writes_one_at_a_time()), Path(sys.argv[1]))
