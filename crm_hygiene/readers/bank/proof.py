"""Proof that a statement is whole: its balances, counts and sums against its entries.

What a bank states and what does not hold refuses the file, or is a warning where the mapping says
`strict_balances: false`. What is not stated cannot be proven and stops nothing, except that a statement
has its two balances.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from crm_hygiene.errors import FileRefused
from crm_hygiene.mapping import Mapping
from crm_hygiene.readers.bank.entry import Statement


@dataclass
class Proof:
    """Where a failed proof goes."""

    path: Path
    mapping: Mapping
    warnings: list[str]

    def fail(self, said: str) -> None:
        """Refuse the file, or warn.

        Raises
        ------
        FileRefused
            if the mapping wants balances proven.
        """
        if self.mapping.strict_balances:
            raise FileRefused(
                f"{self.path}: {said}; entries are missing, doubled or changed; fetch the file again "
                "from the bank, or set `strict_balances: false`"
            )
        self.warnings.append(said)

    def equal(self, who: str, what: str, stated: Decimal | int, found: Decimal | int) -> None:
        """Fail unless what is stated is what was found."""
        if stated != found:
            self.fail(f"{who}: states {what} {stated}, its entries give {found}")

    def totals(self, statement: Statement) -> None:
        """Every stated number and sum of entries is what was read."""
        (credits, credited), (debits, debited) = statement.credits, statement.debits
        found = {
            "number of entries": Decimal(statement.entries),
            "sum of entries": credited + debited,
            "number of credits": credits,
            "sum of credits": credited,
            "number of debits": debits,
            "sum of debits": debited,
        }
        for what, stated in statement.stated.items():
            self.equal(f"statement {statement.statement_id or '?'}", f"a {what} of", stated, found[what])

    def balances(self, statement: Statement, required: bool) -> None:
        """Opening plus booked entries is closing (ISO 20022 OPBD and CLBD; SWIFT MT940 fields 60a, 62a)."""
        who = f"statement {statement.statement_id or '?'}"
        opening, closing = statement.opening, statement.closing
        if opening is None or closing is None:
            lacks = " and ".join(n for n, b in (("opening", opening), ("closing", closing)) if b is None)
            said = f"{who}: no {lacks} balance, so its entries cannot be checked against it"
            if required:
                self.fail(said)
            elif opening is not closing:
                self.warnings.append(said)
            return
        currencies = {opening[1], closing[1], *statement.currencies}
        if len(currencies) > 1:
            named = ", ".join(sorted(currencies))
            self.fail(f"{who}: balances and entries in several currencies ({named}) cannot be added up")
            return
        expected = opening[0] + statement.booked
        if expected != closing[0]:
            self.fail(
                f"{who}: opening {opening[0]} plus entries {statement.booked} is {expected}, "
                f"but the closing balance is {closing[0]}"
            )
