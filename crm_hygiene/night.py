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

from crm_hygiene.cash.rules import CashRules, load_cash_rules
from crm_hygiene.config import Config
from crm_hygiene.contract import nearest
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.fingerprint import code_fingerprint, fingerprint
from crm_hygiene.golden.consent_rules import ConsentRules, load_consent_rules
from crm_hygiene.golden.lead_rules import LeadRules, load_lead_rules
from crm_hygiene.lake import Lake
from crm_hygiene.lake_options import lake_of
from crm_hygiene.mapping import Mapping
from crm_hygiene.mapping_file import BUILT_IN_SOURCES, load_mappings
from crm_hygiene.survivorship import Rules, load_rules
from crm_hygiene.writeback.policy_check import check_policies


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


def survivorship_of(config: Config, mappings: dict[str, Mapping]) -> Rules:
    """The survivorship rules in use.

    Raises
    ------
    ConfigurationError
        one line per mistake, each with file, line and the nearest right word; a source that is switched
        off is not unknown.
    """
    own = config.rules.survivorship
    systems = {mapping.system for mapping in mappings.values()}
    known = {*mappings, *systems, *config.sources.disabled}
    return load_rules(config.resolve(own) if own else None, known)


def lead_rules_of(config: Config) -> LeadRules:
    """The rules of leads in use; ConfigurationError as of `survivorship_of`."""
    own = config.rules.leads
    return load_lead_rules(config.resolve(own) if own else None)


def consent_rules_of(config: Config) -> ConsentRules:
    """The rules of consent in use; ConfigurationError as of `survivorship_of`."""
    own = config.rules.consent
    return load_consent_rules(config.resolve(own) if own else None)


def cash_rules_of(config: Config) -> CashRules:
    """The rules of cash in use; ConfigurationError as of `survivorship_of`."""
    own = config.rules.cash
    return load_cash_rules(config.resolve(own)) if own else load_cash_rules()


def check_rules(config: Config, mappings: dict[str, Mapping]) -> None:
    """Read every rules file in use, so that a mistake in one is told before anything runs.

    Raises
    ------
    ConfigurationError
        if a file that hygiene.yaml names is missing, or one of them is wrong.
    """
    for name, path in config.rules:
        if path is not None and not config.resolve(path).is_file():
            raise ConfigurationError(f"rules.{name}: {config.resolve(path)}: no such file")
    survivorship_of(config, mappings)
    lead_rules_of(config)
    consent_rules_of(config)
    cash_rules_of(config)
    check_policies(config, mappings)


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
            if a mapping, the rules of survivorship, leads, consent or cash or a target's policy are wrong,
            or a folder, a file or a secret that hygiene.yaml names is missing.
        """
        lake = lake_of(config)
        mappings = mappings_of(config)
        check_rules(config, mappings)
        return cls(config, lake, mappings) if run_id is None else cls(config, lake, mappings, run_id)

    @cached_property
    def rules(self) -> str:
        """Fingerprint of all but data: code, contracts, mappings, the user's rules and what they extend."""
        own = {
            name: path.read_text(encoding="utf-8")
            for name, value in self.config.rules
            if value is not None and (path := self.config.resolve(value)).is_file()
        }
        mapped = {name: mapping.fingerprint for name, mapping in self.mappings.items()}
        return fingerprint([code_fingerprint(), mapped, own, self.survivorship.fingerprint])

    @cached_property
    def survivorship(self) -> Rules:
        """The survivorship rules in use."""
        return survivorship_of(self.config, self.mappings)

    @cached_property
    def lead_rules(self) -> LeadRules:
        """The rules of leads in use."""
        return lead_rules_of(self.config)

    @cached_property
    def consent_rules(self) -> ConsentRules:
        """The rules of consent in use."""
        return consent_rules_of(self.config)

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
