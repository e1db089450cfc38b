"""A file of rules as a document: YAML with keys, or a clear refusal; its meaning is its reader's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.yaml_text import YamlError, parse_yaml


def read_rules_file(path: Path) -> dict[str, Any]:
    """Keys and values of a YAML file; an empty file has none.

    Raises
    ------
    ConfigurationError
        if the file cannot be read, is not YAML or is no mapping of keys to values.
    """
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise ConfigurationError(f"{path}: not readable as YAML: {error}") from error
    if document is not None and not isinstance(document, dict):
        raise ConfigurationError(f"{path}: expected a mapping of keys to values")
    return document or {}
