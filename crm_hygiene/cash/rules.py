"""Rules of cash matching as data: what may be read as a reference, a fee, a rounding difference.

What does not belong here: how a rule is carried out (`hypotheses`, `choice`).
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crm_hygiene.cash.money import units
from crm_hygiene.cash.orders.rules import OrderRules
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.yaml_text import parse_yaml

RULES_FILE = Path(__file__).parent / "rules.yaml"


class _Rules(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReferenceRules(_Rules):
    """What counts as a reference in the text of a payment; lengths in characters."""

    min_length: int = Field(ge=3)
    max_length: int = Field(ge=5)
    max_pieces: int = Field(ge=1)
    max_shared: int = Field(ge=1)
    max_edits: int = Field(ge=0)
    max_combination: int = Field(ge=2, le=14)
    max_text: int = Field(ge=100)
    max_cited: int = Field(ge=2)


class FeeRules(_Rules):
    """Bank charges; amounts in the major unit of the currency, the share of the invoice's open amount."""

    max_share: Decimal = Field(ge=0, le=Decimal("0.5"))
    default_ceiling: Decimal = Field(ge=0)
    ceilings: dict[str, Decimal]
    min_seen: int = Field(ge=1)


class Window(_Rules):
    """Days a payment may lie before an invoice's issue date and after its due date."""

    before_issue: int = Field(ge=0)
    after_due: int = Field(ge=0)


class Windows(_Rules):
    """One window where a reference speaks, a tighter one where only payer and amount do."""

    reference: Window
    payer: Window


class NameRules(_Rules):
    """When a similar name is a customer's; similarity 0 to 100."""

    min_similarity: int = Field(ge=50, le=100)
    margin: int = Field(ge=1)
    max_candidates: int = Field(ge=1)
    min_cut: int = Field(ge=10)
    legal_forms: dict[str, tuple[str, ...]] = {}


class DueOrderRules(_Rules):
    """Which of a payer's equal invoices a payment that cites none is for (`series`).

    `certainty` is the probability from which a payment is posted; `margin` the days by which a newer
    equal invoice must be due nearer than a cited one to make the citation doubtful. A payer's habit
    lies between `earliest_habit` days before and `latest_habit` days after the due date, about it by
    `habit_spread`; single payments scatter about the habit by `spread` days, but for the share that is
    `untypical`. `unpaid` is the share of invoices that stay unpaid or are paid otherwise, `stray` the
    expected number of equal payments in a year that are for something else. `round_days` is how far
    from its due date a round amount may be paid without a reference, `pardon` the probability from
    which a citation stands that another payment or invoice speaks against. `other_lags` is how much a
    payment of another amount tells of the habit, 1 as much as one of the same.
    """

    certainty: float = Field(gt=0.5, lt=1)
    margin: int = Field(ge=1)
    earliest_habit: int = Field(ge=0, le=365)
    latest_habit: int = Field(ge=0, le=365)
    habit_spread: float = Field(gt=0)
    spread: float = Field(gt=0)
    untypical: float = Field(gt=0, lt=0.5)
    unpaid: float = Field(gt=0, lt=0.5)
    stray: float = Field(gt=0)
    round_days: int = Field(ge=0)
    pardon: float = Field(gt=0, lt=1)
    most: int = Field(ge=2, le=60)
    most_lags: int = Field(ge=0)
    other_lags: float = Field(ge=0, le=1)


class ExchangeRules(_Rules):
    """Payment in another currency: the largest gain or loss as a share, and how far a rate may be rounded."""

    max_share: Decimal = Field(ge=0, le=Decimal("0.2"))
    rounding: Decimal = Field(ge=0)


class InterestRules(_Rules):
    """Late interest by the invoice's rate; `rounding` in the major unit."""

    rounding: Decimal = Field(ge=0)


class ChanceRules(_Rules):
    """Expected coincidences up to which an amount is evidence by itself (`coincidence.chance`)."""

    sum: float = Field(gt=0, lt=0.05)
    difference: float = Field(gt=0, lt=0.05)


class EvidenceWeights(_Rules):
    """Whole-number weight of each fact; a hypothesis scores their sum."""

    reference: dict[Literal["specific", "digits", "shared", "advice", "mistyped", "none"], int]
    payer: dict[str, int]
    amount: dict[str, int]
    date: int


class Limits(_Rules):
    """Bounds beyond which matching gives up and asks a person."""

    component_payments: int = Field(ge=1)
    component_hypotheses: int = Field(ge=1)
    enumerate: int = Field(ge=1, le=20)
    solver_time: float = Field(gt=0)
    subset_invoices: int = Field(ge=2, le=20)
    subset_size: int = Field(ge=2, le=6)
    rounds: int = Field(ge=1)


class CashRules(_Rules):
    """Everything reconciliation may be told without code."""

    references: ReferenceRules
    fees: FeeRules
    tolerances: dict[str, Decimal]
    windows: Windows
    due_order: DueOrderRules
    overpaid_share: Decimal = Field(ge=0)
    names: NameRules
    exchange: ExchangeRules
    interest: InterestRules
    evidence: EvidenceWeights
    minimum: int = Field(ge=1)
    chances: ChanceRules
    margin: int = Field(ge=1)
    limits: Limits
    learned_payments: int = Field(ge=1)
    max_parties: int = Field(ge=1)
    duplicate_days: int = Field(ge=0)
    reversal_days: int = Field(ge=0)
    return_days: int = Field(ge=0)
    advice_days: int = Field(ge=0)
    max_suggestions: int = Field(ge=1)
    write_off_limit: dict[str, Decimal]
    write_off_approvers: tuple[str, ...]
    max_park_days: int = Field(ge=1)
    other_purposes: tuple[str, ...]
    void_statuses: tuple[str, ...]
    orders: OrderRules

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the rules, in hexadecimal; equal rules have equal fingerprints."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def tolerance(self, currency: str) -> int:
        """Largest rounding difference of a currency, in ten-thousandths."""
        return units(self.tolerances.get(currency, Decimal(0)))

    def fee_ceiling(self, currency: str) -> int:
        """Largest bank charge of a currency, in ten-thousandths."""
        return units(self.fees.ceilings.get(currency, self.fees.default_ceiling))

    def is_fee(self, gap: int, total: int, currency: str) -> bool:
        """Whether `gap` (ten-thousandths) short of `total` may be a bank charge or a rounding difference."""
        if gap <= self.tolerance(currency):
            return gap < total
        return gap <= self.fee_ceiling(currency) and Decimal(gap) <= self.fees.max_share * total


def load_cash_rules(path: Path = RULES_FILE) -> CashRules:
    """Read a rules file.

    Raises
    ------
    ConfigurationError
        if the file is not YAML, lacks a rule or has one that does not exist.
    """
    try:
        return CashRules.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError, OSError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
