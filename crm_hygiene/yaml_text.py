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


def parse_with_nodes(text: str) -> tuple[yaml.Node | None, Any]:
    """The nodes of a YAML text, which know the lines they stand on, and its one document; read once.

    Raises
    ------
    YamlError
        as `parse_yaml`.
    """
    try:
        return _composed(text, _LOADER)
    except yaml.YAMLError:
        return _composed(text, yaml.SafeLoader)


def _composed(text: str, kind: Any) -> tuple[yaml.Node | None, Any]:
    loader = kind(text)
    try:
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()
