"""YAML as it is read everywhere: safe types only, by libyaml where PyYAML was built with it.

libyaml reads the project's contracts and mappings ten times faster than PyYAML's own parser, to the same
documents; PyYAML's own words show a mistake in its line, so a text that is refused goes through both.
What does not belong here: what a document means, and the words in which a wrong one is refused.
"""

from __future__ import annotations

from typing import Any

import yaml

YamlError = yaml.YAMLError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """The one document of a YAML text; None of an empty one.

    Raises
    ------
    YamlError
        naming line and column, if the text is no YAML or has several documents.
    """
    try:
        return yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError:
        return yaml.safe_load(text)


def compose_yaml(text: str) -> yaml.Node | None:
    """The nodes of a YAML text, which know the lines they stand on; None of an empty one.

    Raises
    ------
    YamlError
        as `parse_yaml`.
    """
    try:
        return yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)
