"""What a store says of an error, in one line; the pages are those of deltalake 1.6.6."""

from __future__ import annotations

import pytest

from crm_hygiene.lake_errors import in_short

_ARROW = "\x1b[31m↳\x1b[0m"
_REFUSED = "Server returned non-2xx status code"


def _page(first: str, *causes: str) -> str:
    """As the store's client prints it: a cause to a line, each further in."""
    return "\n".join([first, *(f"{' ' * depth}{_ARROW} {cause}" for depth, cause in enumerate(causes, 9))])


@pytest.mark.parametrize(
    ("page", "line"),
    [
        (
            _page(
                "Kernel error -> Generic GCS error",
                "Error performing list request",
                f"Error performing GET http://h/b%2Dc?list-type=2&prefix=x in 4.381664ms - {_REFUSED}",
                "404 Not Found",
                "<?xml version='1.0'?>\n<Error><Code>NoSuchBucket</Code>\n"
                "<Message>The specified bucket does not exist\nRequestId:1</Message></Error>\n",
            ),
            "GET http://h/b-c: 404 Not Found: NoSuchBucket: The specified bucket does not exist",
        ),
        (
            _page(
                "Generic S3 error",
                "Error performing GET http://h/b in 4.4s, after 10 retries, max_retries",
                "10, retry_timeout",
                "180s  - HTTP error",
                "error sending request",
                "Connection refused (os error 111)\n",
            ),
            "GET http://h/b: Connection refused (os error 111)",
        ),
        (
            _page(
                "Kernel error -> The operation lacked the necessary privileges for path x",
                f"Error performing GET REDACTED in 3ms - {_REFUSED}",
                "403 Forbidden\n",
            ),
            "The operation lacked the necessary privileges for path x: GET REDACTED: 403 Forbidden",
        ),
        (_page("Generic MicrosoftAzure error", "Account must be specified"), "Account must be specified"),
        ("Generic S3 error", "Generic S3 error"),
        ("Invalid table version: 1", "Invalid table version: 1"),
        ("a plan\nof many\nlines", "a plan"),
        ("no answer from https://h/b/c?sv=1&sig=hush in time", "no answer from https://h/b/c in time"),
    ],
)
def test_a_page_in_one_line(page: str, line: str) -> None:
    assert in_short(OSError(page)) == line


def test_long_messages_are_cut() -> None:
    assert len(in_short(OSError("x" * 1000))) == 400
