"""How rules files build on each other: `extends` between files, `like` between rules.

A file overrides the file it extends, and that the built-in one, key by key within a field; naming only
what differs is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.survivorship.rules import CONFORMED, DEFAULT_RULES
from crm_hygiene.yaml_file import Place, YamlFile, read_yaml_file

# What a rule does not take over from the one it is like.
_OWN = ("columns", "needs", "like")


def extended_files(path: Path | None) -> list[YamlFile]:
    """The built-in file, then what `path` extends from afar to near, then the file at `path`.

    Raises
    ------
    ConfigurationError
        if a file is missing or unreadable, or files extend each other in a circle.
    """
    chain: list[YamlFile] = []
    seen: list[Path] = []
    while path is not None:
        text = read_yaml_file(path)
        seen.append(path.resolve())
        chain.append(text)
        other = text.content.get("extends")
        if other is None:
            break
        where = text.at(("extends",))
        if not isinstance(other, str):
            raise ConfigurationError(f"{where}: extends: expected the path of one rules file")
        following = path.parent / other
        if not following.is_file():
            beside = sorted(p.name for p in path.parent.glob("*.y*ml"))
            raise ConfigurationError(f"{where}: extends: {following}: no such file{nearest(other, beside)}")
        if following.resolve() in seen:
            circle = [*(t.path.name for t in chain), following.name]
            raise ConfigurationError(f"{where}: extends goes in a circle: {' -> '.join(circle)}")
        path = following
    return [read_yaml_file(DEFAULT_RULES), *reversed(chain)]


def _patterns(base: dict[str, Any] | None, own: dict[str, Any]) -> dict[str, Any]:
    """Trust by pattern: a new one goes before the older ones, a restated one keeps its place.

    So a `*` of the user's does not hide every other line.
    """
    base = base or {}
    new = {k: v for k, v in own.items() if k not in base}
    return {**new, **{k: own.get(k, v) for k, v in base.items()}}


def _rule(base: dict[str, Any] | None, own: dict[str, Any]) -> dict[str, Any]:
    """A rule restated key by key; one that says `like` starts from that one instead."""
    if base is None:
        return dict(own)
    if "like" in own:
        return {**{k: v for k, v in base.items() if k in ("columns", "needs")}, **own}
    merged = {**base, **own}
    if own.get("trust"):
        merged["trust"] = _patterns(base.get("trust"), own["trust"])
    # Ignoring clears again makes the list of who may clear void.
    if own.get("clears") == "ignored" and "clears_from" not in own:
        merged.pop("clears_from", None)
    return merged


def overridden(base: dict[str, Any], text: YamlFile) -> dict[str, Any]:
    """`base` with the content of a checked file over it.

    A field or group of the file's takes its columns out of the groups of `base`.
    """
    own = text.content
    merged = {**base, **{k: v for k, v in own.items() if k not in (*CONFORMED, "extends")}}
    merged["trust"] = _patterns(base["trust"], own.get("trust") or {})
    merged["tests"] = {**(base.get("tests") or {}), **(own.get("tests") or {})}
    for key in ("times", "bounces"):
        merged[key] = {**(base.get(key) or {}), **(own.get(key) or {})}
    for table in CONFORMED:
        merged[table] = _table(base[table], own.get(table) or {})
    return merged


def _table(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    fields, groups = own.get("fields") or {}, own.get("groups") or {}
    taken = {*fields, *(c for rule in groups.values() for c in rule.get("columns", []))}
    kept: dict[str, Any] = {}
    for name, rule in base["groups"].items():
        columns = [c for c in rule["columns"] if c not in taken]
        if columns:
            needs = [c for c in rule.get("needs", []) if c in columns]
            kept[name] = {**rule, "columns": columns, "needs": needs}
    for name, rule in groups.items():
        # Columns restated without needs: needs of the old columns would speak of others.
        before = kept.get(name) or base["groups"].get(name)
        if before is not None and "columns" in rule:
            needs = [c for c in before.get("needs", []) if c in rule["columns"]]
            before = {**before, "needs": needs}
        kept[name] = _rule(before, rule)
    kept_fields = {k: v for k, v in base["fields"].items() if k not in taken}
    own_fields = {k: _rule(base["fields"].get(k), v) for k, v in fields.items()}
    return {**base, **own, "fields": {**kept_fields, **own_fields}, "groups": kept}


def with_likes(spec: dict[str, Any], texts: Sequence[YamlFile]) -> dict[str, Any]:
    """Every `like` replaced by what it stands for: the other rule's keys under the rule's own.

    `like: email` names a field or group of the same table, `like: accounts.email` one of the other.

    Raises
    ------
    ConfigurationError
        if there is no such rule, or rules are like each other in a circle.
    """
    written = {
        (table, name): ((table, kind, name), rule)
        for table in CONFORMED
        for kind in ("fields", "groups")
        for name, rule in spec[table][kind].items()
    }

    def resolved(key: tuple[str, str], trail: list[tuple[str, str]]) -> dict[str, Any]:
        place, rule = written[key]
        if "like" not in rule:
            return dict(rule)
        text = next((t for t in reversed(texts) if t.has((*place, "like"))), texts[-1])
        where = text.at((*place, "like"))
        table, _, name = str(rule["like"]).rpartition(".")
        other = (table or key[0], name)
        if other not in written:
            words = [n for t, n in written if t == key[0]] + [f"{t}.{n}" for t, n in written]
            raise ConfigurationError(
                f"{where}: {'.'.join(map(str, place))}: like: unknown '{rule['like']}'"
                f"{nearest(str(rule['like']), words)}"
            )
        if other in (*trail, key):
            circle = " -> ".join(".".join(k) for k in (*trail, key, other))
            raise ConfigurationError(f"{where}: like goes in a circle: {circle}")
        base = {k: v for k, v in resolved(other, [*trail, key]).items() if k not in _OWN}
        return _rule(base, {k: v for k, v in rule.items() if k != "like"})

    places: dict[Place, dict[str, Any]] = {written[key][0]: resolved(key, []) for key in written}
    return {
        **spec,
        **{
            table: {
                **spec[table],
                **{
                    kind: {name: places[(table, kind, name)] for name in spec[table][kind]}
                    for kind in ("fields", "groups")
                },
            }
            for table in CONFORMED
        },
    }
