"""A night: what every step of one run shares.

Configuration, lake, source mappings, the run's id and start, and the texts that each commit
carries. What a step does belongs to the step; in which order, to `assets/`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from crm_hygiene.config import Config
from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.fingerprint import code_fingerprint, fingerprint
from crm_hygiene.lake import Lake
from crm_hygiene.mapping import Mapping, load_mappings

BUILT_IN_SOURCES = Path(__file__).parent / "sources"


def mappings_of(config: Config) -> dict[str, Mapping]:
    """The source mappings in use: built-in ones, the user's own, less the disabled ones.

    Raises
    ------
    ConfigurationError
        if a mapping is wrong, a folder is missing, or a disabled source does not exist.
    """
    folders = [config.resolve(folder) for folder in config.sources.folders]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"sources.folders: {folder} is not a folder")
    mappings = load_mappings([BUILT_IN_SOURCES, *folders])
    for name in config.sources.disabled:
        if name not in mappings:
            raise ConfigurationError(f"sources.disabled: no source '{name}'{nearest(name, list(mappings))}")
    return {name: mappings[name] for name in sorted(mappings) if name not in config.sources.disabled}


def _check_rules(config: Config) -> None:
    for name, path in config.rules:
        if path is not None and not config.resolve(path).is_file():
            raise ConfigurationError(f"rules.{name}: {config.resolve(path)}: no such file")


@dataclass
class Night:
    """One run over one lake."""

    config: Config
    lake: Lake
    mappings: dict[str, Mapping]
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    notes: list[str] = field(default_factory=list)

    def say(self, lines: Iterable[str]) -> None:
        """Add lines a person should read after the night: rules left out, clusters held back."""
        self.notes += lines

    @classmethod
    def open(cls, config: Config, run_id: str | None = None) -> Night:
        """The night for a configuration; nothing is written yet.

        Raises
        ------
        ConfigurationError
            if a mapping is wrong, or a folder or rules file that hygiene.yaml names is missing.
        """
        _check_rules(config)
        lake = Lake(config.lake_uri, dict(config.lake.storage_options))
        mappings = mappings_of(config)
        return cls(config, lake, mappings) if run_id is None else cls(config, lake, mappings, run_id)

    @cached_property
    def rules(self) -> str:
        """Fingerprint of everything but data: code, contracts, mappings, the user's rules files."""
        own = {
            name: path.read_text(encoding="utf-8")
            for name, value in self.config.rules
            if value is not None and (path := self.config.resolve(value)).is_file()
        }
        mapped = {name: mapping.fingerprint for name, mapping in self.mappings.items()}
        return fingerprint([code_fingerprint(), mapped, own])

    @property
    def systems(self) -> dict[str, str]:
        """System of each source; foreign keys point to sources of the same system."""
        return {name: mapping.system for name, mapping in self.mappings.items()}

    def inputs(self, *tables: str) -> str:
        """Fingerprint of what a step reads: the state of its tables and the rules."""
        return fingerprint([self.rules, {table: self.lake.state(table) for table in tables}])

    def metadata(self, inputs: str | None = None) -> dict[str, str]:
        """Texts for a commit of this night."""
        texts = {"run_id": self.run_id, "rules": self.rules}
        return texts if inputs is None else {**texts, "inputs": inputs}
