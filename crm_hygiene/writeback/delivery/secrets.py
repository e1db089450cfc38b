"""Secrets: from the environment or from one file outside the project, and never back out of this process.

What does not belong here: what a secret is for (`policy`), and signing in (`targets`).
"""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

from crm_hygiene.errors import ConfigurationError

FILE_VARIABLE = "CRM_HYGIENE_SECRETS"
MASK = "***"

#: Shorter values would blacken ordinary words; no system takes so short a password or token.
_LEAST_LENGTH = 4


class Secret(str):
    """A secret that shows itself only to who asks by `reveal`: printed, formatted, logged it is `***`.

    As it is a text, client libraries take it as it is; where one formats it into a header or an address,
    give it `reveal()`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, specification: str) -> str:
        return MASK

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not to be pickled")

    def reveal(self) -> str:
        """The value as a plain text."""
        return "".join(self)


def _read_file(path: Path, project: Path) -> dict[str, str]:
    """`NAME=value` per line; blank lines and lines that begin with # are passed over."""
    real = path.expanduser().resolve()
    if real.is_relative_to(project.resolve()):
        raise ConfigurationError(
            f"{path}: the secrets file lies in the project's folder, where it is copied and committed with "
            "the rest; move it elsewhere"
        )
    try:
        if sys.platform != "win32" and stat.S_IMODE(real.stat().st_mode) & 0o077:
            raise ConfigurationError(f"{path}: others may read the secrets file; chmod 600 {path}")
        lines = real.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigurationError(f"{path}: the secrets file cannot be read: {reason}") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            # The line itself is not shown: it may be the secret.
            raise ConfigurationError(f"{path}: line {number} is not NAME=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found


def load_secrets(
    named: Mapping[str, str],
    project: Path,
    secrets_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Secret]:
    """The secrets that a target policy names, by connection key.

    Parameters
    ----------
    named
        the policy's `secrets`: connection key -> name of an environment variable or of a line of the file.
    project
        folder of hygiene.yaml; a secrets file in it is refused.
    secrets_file
        `secrets_file` of hygiene.yaml; the environment's CRM_HYGIENE_SECRETS names another. A variable of
        the environment goes before a line of the file.
    environment
        default: the process's.

    Raises
    ------
    ConfigurationError
        naming the variables that are missing, and never a value; or what is wrong with the file.
    """
    if not named:
        return {}
    variables = os.environ if environment is None else environment
    path = Path(variables[FILE_VARIABLE]) if variables.get(FILE_VARIABLE) else secrets_file
    in_file = _read_file(path, project) if path is not None else {}
    found = {key: variables.get(name) or in_file.get(name) for key, name in named.items()}
    missing = sorted(named[key] for key, value in found.items() if not value)
    if missing:
        raise ConfigurationError(
            f"secrets are missing: {', '.join(missing)}; set them in the environment or in the secrets file "
            f"that {FILE_VARIABLE} or secrets_file names"
        )
    return {key: Secret(value) for key, value in found.items() if value}


class Redactor:
    """Takes every known secret out of a text, also as URL, JSON and HTTP basic sign-in spell it."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: list[str] = []
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Know further secrets, as a session's token that came with the sign-in."""
        forms = set(self._forms)
        for secret in secrets:
            plain = "".join(secret)
            if len(plain) < _LEAST_LENGTH:
                continue
            coded = base64.b64encode(plain.encode()).decode()
            forms |= {plain, quote(plain), quote(plain, safe=""), quote_plus(plain), json.dumps(plain)[1:-1]}
            forms |= {
                json.dumps(plain, ensure_ascii=False)[1:-1],
                repr(plain)[1:-1],
                coded,
                plain.encode().hex(),
            }
        # The longest first: a form that holds another must not leave its rest behind.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def __call__(self, text: str) -> str:
        """`text` with `***` in place of every secret."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text


class _Redaction(logging.Filter):
    """Keeps secrets out of what the vendors' client libraries log."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redact(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = self._redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


@contextmanager
def redacted_logs(redact: Redactor) -> Iterator[None]:
    """Within, no handler of the root logger is given a record with a secret in it."""
    redaction = _Redaction(redact)
    handlers = [*logging.getLogger().handlers, *([logging.lastResort] if logging.lastResort else [])]
    for handler in handlers:
        handler.addFilter(redaction)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(redaction)
