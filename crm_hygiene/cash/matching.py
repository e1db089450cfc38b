"""Matching: tonight's rounds, from the plain case to the weighed one, until nothing more follows.

Running the night again on its own result therefore adds nothing. What does not belong here: what a
hypothesis weighs (`hypotheses`), which set of them wins (`choice`), what is money at all (`ledger`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl
from rapidfuzz.distance import OSA

from crm_hygiene.cash import candidates, plain, recurring
from crm_hygiene.cash.choice import choose
from crm_hygiene.cash.doubts import Doubt
from crm_hygiene.cash.hypotheses import Cited, Claim, Hypothesis, Paid, Reader, subsets_of_sum
from crm_hygiene.cash.ledger import Ledger, Line
from crm_hygiene.cash.money import text
from crm_hygiene.cash.payers import Payers
from crm_hygiene.cash.rules import CashRules

REFERENCE = plain.REFERENCE
PAYER = plain.PAYER
_CLAIM = [
    "i",
    "owed",
    "amount",
    "currency",
    "number",
    "issue_date",
    "due_date",
    "discount_days",
    "discount_percent",
    "late_interest_percent",
    "corrects",
]


@dataclass
class Matching:
    """One night's matching.

    Attributes
    ----------
    entries, claims
        numbered payments and invoices; entries with `payers`, `payer_by`, `is_payer_unclear`.
    hits, orders, strangers
        citations (`payers.judge_hits`, `references.Citations`).
    told
        `advices.told_by_advice`.
    held
        payments that are not for automation.
    blocks
        invoice row -> why no payment may be posted to it.
    paid_before
        (`p`, `i`) of live payment lines of earlier nights.
    """

    ledger: Ledger
    entries: pl.DataFrame
    claims: pl.DataFrame
    who: Payers
    hits: pl.DataFrame
    orders: pl.DataFrame
    strangers: pl.DataFrame
    told: pl.DataFrame
    held: set[int]
    blocks: dict[int, str]
    paid_before: pl.DataFrame
    rules: CashRules
    doubts: dict[int, Doubt] = field(default_factory=dict)

    def run(self) -> dict[int, Doubt]:
        """Post what is certain; doubts by payment row for what could not be."""
        self._names = dict(self.strangers.group_by("p").agg(pl.col("token").sort()).iter_rows())
        self._advised = dict(_by_payment(self.told))
        # Who does not say who he is has no name that speaks against the invoice he cites.
        told = pl.any_horizontal(
            pl.col("payer_name", "payer_iban", "payer_tax_id", "organisation_name_normalised").is_not_null()
        )
        self._nameless: set[int] = set(self.entries.filter(~told)["p"])
        for _ in range(self.rules.limits.rounds):
            before = self.ledger.line_count
            self.doubts = {}
            self._round()
            if self.ledger.line_count == before:
                break
        return self.doubts

    def _round(self) -> None:
        has_open = pl.Series("open", self.ledger.payment_open)
        owed = pl.Series("owed", self.ledger.invoice_open)
        touched = pl.Series("is_touched", self.ledger.is_touched)
        pending = self.entries.with_columns(has_open, touched).filter(
            (pl.col("open") > 0) & ~pl.col("p").is_in(list(self.held))
        )
        claims = self.claims.with_columns(owed, pl.col("i").is_in(list(self.blocks)).alias("is_blocked"))
        facts = claims.select("i", "owed", "issue_date", "due_date", "is_blocked")
        hits = (
            self.hits.join(pending.select("p", "open", "booked_date", "payer_by"), on="p")
            .join(facts, on="i", how="left")
            .sort("p", "i")
        )
        repeated = self._repeats(hits)
        repeated |= {
            p: d
            for p, d in self._doubtful_citations(hits, pending, claims).items()
            if p not in repeated and p not in self._advised
        }
        apart = pl.DataFrame({"p": [*repeated, *self._advised]}, schema={"p": pl.Int64})
        posted = plain.plain_references(hits, apart, self.rules)
        self.ledger.post_plain(posted)
        self.doubts.update(repeated)
        rest = hits.join(posted, on="p", how="anti").filter(~pl.col("p").is_in(list(repeated)))
        advised = pending.filter(
            pl.col("p").is_in(list(self._advised)) & ~pl.col("p").is_in(posted["p"].implode())
        )
        found = self._read_cited(rest, advised, pending, claims)
        contested = {i for h in found for i in h.net} | {
            i for d in self.doubts.values() for i in d.invoices if self.ledger.invoice_open[i] > 0
        }
        silent = (
            pending.filter(~pl.col("is_touched") & ~pl.col("p").is_in(list(self._advised)))
            .join(self.hits, on="p", how="anti")
            .join(self.orders, on="p", how="anti")
        )
        found += self._read_silent(silent, contested)
        self._choose(found)

    # -- payments that cite ------------------------------------------------------------------------

    def _repeats(self, hits: pl.DataFrame) -> dict[int, Doubt]:
        """Payments of one amount for one invoice: instalments if they close it together, else repeats."""
        sole = hits.filter(pl.col("is_specific") & pl.col("same_currency")).filter(pl.len().over("p") == 1)
        before = (
            self._paid_so_far()
            .join(
                self.entries.select(
                    "p", pl.col("amount").alias("open"), pl.col("booked_date").alias("paid_on")
                ),
                on="p",
            )
            .group_by("i", "open")
            .agg(pl.col("paid_on").max())
        )
        place = pl.int_range(pl.len()).over("i", "open")
        counted = (
            sole.sort("p")
            .join(before, on=["i", "open"], how="left", maintain_order="left")
            .with_columns(place.alias("place"), pl.len().over("i", "open").alias("times"))
        )
        closes = pl.col("open") * pl.col("times") == pl.col("owed")
        near = (pl.col("booked_date") - pl.col("paid_on")).dt.total_days().abs() <= self.rules.duplicate_days
        again = near.fill_null(value=False) & (pl.col("open") != pl.col("owed"))
        wrong = counted.filter(~closes & ((pl.col("place") > 0) | again) & (pl.col("owed") > 0))
        words = wrong.select("p", "i", plain.citation_words().alias("words"))
        return {
            p: Doubt("DUPLICATE", f"cites {cited}, for which another payment of this amount came", (i,))
            for p, i, cited in words.iter_rows()
        }

    def _doubtful_citations(
        self, hits: pl.DataFrame, pending: pl.DataFrame, claims: pl.DataFrame
    ) -> dict[int, Doubt]:
        """Payments that cite one invoice where another fact says that the number may be a wrong one."""
        sole = hits.filter(pl.col("is_specific") & pl.col("same_currency") & (pl.col("owed") > 0))
        sole = sole.filter(pl.len().over("p") == 1).join(claims.select("i", "party", "currency"), on="i")
        owed = claims.filter(pl.col("is_matchable") & (pl.col("owed") > 0) & pl.col("party").is_not_null())
        issued = (pl.col("other_issued") <= pl.col("booked_date")).fill_null(value=True)
        # A template keeps the number of the invoice before, whose own payment waits for a clerk.
        citing = hits.filter(pl.col("owed") != 0).select("p").unique()
        waiting = pending.join(citing, on="p", how="anti").select(
            pl.col("p").alias("q"), "currency", pl.col("payers").alias("party"), pl.col("open").alias("owed"),
            pl.col("booked_date").alias("before"),
        ).explode("party")  # fmt: skip
        stale = (
            sole.join(waiting, on=["party", "currency", "owed"])
            .filter((pl.col("before") <= pl.col("booked_date")) & (pl.col("before") >= pl.col("issue_date")))
            .select("p", "i")
        )
        others = owed.select(
            "party", "currency", pl.col("owed").alias("open"), pl.col("i").alias("other"),
            pl.col("issue_date").alias("other_issued"),
        )  # fmt: skip
        misread = (
            sole.filter(pl.col("open") != pl.col("owed"))
            .join(others, on=["party", "currency", "open"])
            .filter(issued & (pl.col("other") != pl.col("i")))
            .select("p", "i")
        )
        newer = owed.select("party", "currency", "owed", pl.col("due_date").alias("other_due"), "issue_date")
        distance = (pl.col("booked_date") - pl.col("due_date")).dt.total_days()
        other_distance = (pl.col("booked_date") - pl.col("other_due")).dt.total_days().abs()
        outdated = (
            sole.join(newer.rename({"issue_date": "other_issued"}), on=["party", "currency", "owed"])
            .filter(issued & (pl.col("other_due") > pl.col("due_date")))
            .filter(distance - other_distance >= self.rules.due_order.margin)
            .select("p", "i")
        )
        common = owed.group_by("currency", pl.col("owed").alias("open")).agg(
            pl.col("party").n_unique().alias("customers")
        )
        stranger = (
            sole.filter(~pl.col("agrees") & ~pl.col("p").is_in(list(self._nameless)))
            .filter(pl.col("open") == pl.col("owed"))
            .join(common.filter(pl.col("customers") > 1), on=["currency", "open"])
            .select("p", "i")
        )
        told = (
            (stale, "AMBIGUOUS", "an earlier payment of the payer may be for the invoice that it cites"),
            (outdated, "AMBIGUOUS", "a newer invoice of the same amount is due nearer than the one it cites"),
            (misread, "AMBIGUOUS", "the amount is that of another open invoice of the payer"),
            (stranger, "PAYER", "the payer is not known, and other customers owe the same amount"),
        )
        return {
            p: Doubt(kind, why, (i,))
            for found, kind, why in told
            for p, i in found.unique().sort("p", "i").iter_rows()
        }

    def _read_cited(
        self, hits: pl.DataFrame, advised: pl.DataFrame, pending: pl.DataFrame, claims: pl.DataFrame
    ) -> list[Hypothesis]:
        cited_rows = pl.concat([hits.select("p", "i"), self.told.select("p", "i").drop_nulls()]).unique()
        wanted = cited_rows.select("i").unique()
        known = _claims(claims.join(wanted, on="i", how="semi"))
        credits = self._credits(claims, wanted)
        paid = _payments(
            pending.join(pl.concat([hits.select("p"), advised.select("p")]).unique(), on="p", how="semi")
        )
        ways = dict(pending.select("p", "payer_by").iter_rows())
        late = plain.in_window(self.rules.windows.reference).alias("in_time")
        rows = hits.with_columns(late, plain.citation_words().alias("words"))
        found: list[Hypothesis] = []
        for p in sorted(set(advised["p"].to_list())):
            found += self._read_advice(paid[p], known, ways[p])
        for p, cited in _by_payment(rows):
            if p not in self._advised:
                found += self._read(paid[p], cited, known, credits, ways[p])
        return found

    def _credits(self, claims: pl.DataFrame, wanted: pl.DataFrame) -> dict[int, tuple[Claim, ...]]:
        """Open credit notes of the customer of each wanted invoice, or that correct it."""
        credits = claims.filter((pl.col("owed") < 0) & pl.col("is_matchable"))
        if credits.is_empty():
            return {}
        known = _claims(credits)
        pairs = (
            claims.join(wanted, on="i", how="semi")
            .select("i", "party", "currency")
            .join(credits.select(pl.col("i").alias("c"), "party", "currency"), on=["party", "currency"])
            .filter(pl.len().over("i") <= self.rules.max_parties)
        )
        return {
            i: tuple(known[c] for c in cs)
            for i, cs in pairs.group_by("i").agg(pl.col("c").sort()).iter_rows()
        }

    def _read_advice(self, paid: Paid, known: dict[int, Claim], way: str | None) -> list[Hypothesis]:
        rows = self._advised[paid.p]
        if any(row["i"] is None for row in rows):
            self._doubt(
                paid.p,
                "AMOUNT",
                "the remittance advice names an invoice that is not known",
                [row["i"] for row in rows if row["i"] is not None],
            )
            return []
        cited = [
            Cited(known[row["i"]], "advice", f"{known[row['i']].number} in the remittance advice")
            for row in rows
        ]
        reader = Reader(paid, self.rules)
        parts = [(row["paid"], row["discount"]) for row in rows]
        problem = reader.told(cited, parts, payer_by=way or "unknown", stage="remittance_advice")
        if problem:
            self._doubt(paid.p, "AMOUNT", problem, [row["i"] for row in rows])
        return reader.found

    def _doubt(
        self, p: int, kind: str, reason: str, invoices: Iterable[int], readings: Iterable[Hypothesis] = ()
    ) -> None:
        self.doubts[p] = Doubt(kind, reason, tuple(invoices), tuple(readings))

    def _read(
        self,
        paid: Paid,
        hits: list[dict[str, Any]],
        known: dict[int, Claim],
        credits: dict[int, tuple[Claim, ...]],
        way: str | None,
    ) -> list[Hypothesis]:
        p = paid.p
        if len(hits) > self.rules.references.max_cited:
            self._doubt(p, "AMBIGUOUS", f"cites {len(hits)} invoices", [h["i"] for h in hits[:3]])
            return []
        own = [h for h in hits if h["same_currency"]]
        specific = [h for h in own or hits if h["is_specific"]]
        everything = [h["i"] for h in specific or own or hits]
        against = [h for h in specific if h["contradicts"]]
        if against:
            reason = (
                f"cites {against[0]['words']}, but the account or tax number paid from is another customer's"
            )
            self._doubt(p, "PAYER", reason, everything)
            return []
        late = [h for h in specific if not h["in_time"]]
        if late:
            self._doubt(p, "DATE", f"cites {late[0]['words']}, which is of another time", everything)
            return []
        if not own:
            return self._read_foreign(paid, specific, hits, known, way)
        if not specific:
            return self._read_shared(paid, own, known, way)
        live = [h for h in specific if h["owed"] != 0]
        if not any(h["owed"] > 0 for h in live):
            self._nothing_open(p, specific)
            return []
        strong = [h for h in live if h["is_strong"] or h["agrees"]]
        chosen = strong or live
        payer_by = self._payer_of(chosen, way, is_stated=p not in self._nameless)
        cited = [Cited(known[h["i"]], "specific" if h["is_strong"] else "digits", h["words"]) for h in chosen]
        reader = Reader(paid, self.rules)
        noted = {c.i: c for h in chosen for c in credits.get(h["i"], ())}
        uncited = [c for i, c in sorted(noted.items()) if i not in {h["i"] for h in chosen}]
        problem = reader.read(cited, payer_by=payer_by, stage=REFERENCE, credits=uncited)
        if problem:
            self._doubt(p, "AMOUNT", problem, everything)
            return []
        if not reader.found:
            reason = "amount is less than the sum of the cited invoices and of no choice of them"
            self._doubt(p, "AMOUNT", reason, everything)
        return reader.found

    @staticmethod
    def _payer_of(hits: list[dict[str, Any]], way: str | None, *, is_stated: bool = True) -> str:
        if all(h["agrees"] for h in hits):
            return way or "unknown"
        if not is_stated:
            return "unstated"
        return "another name" if any(h["is_other_name"] for h in hits) else "unknown"

    def _nothing_open(self, p: int, specific: list[dict[str, Any]]) -> None:
        invoices = [h["i"] for h in specific]
        if self.ledger.is_touched[p]:
            currency = self.entries["currency"][p]
            rest = text(int(self.ledger.payment_open[p]), currency)
            self._doubt(p, "AMOUNT", f"{rest} more than was open on what it cites", invoices)
        else:
            reason = f"cites {specific[0]['words']}, on which nothing is open any more"
            self._doubt(p, "DUPLICATE", reason, invoices)

    def _read_foreign(
        self,
        paid: Paid,
        specific: list[dict[str, Any]],
        hits: list[dict[str, Any]],
        known: dict[int, Claim],
        way: str | None,
    ) -> list[Hypothesis]:
        reader = Reader(paid, self.rules)
        if len(specific) == 1 and specific[0]["owed"] > 0:
            h = specific[0]
            cited = Cited(known[h["i"]], "specific" if h["is_strong"] else "digits", h["words"])
            reader.exchange(cited, payer_by=self._payer_of(specific, way), stage=REFERENCE)
        if not reader.found:
            reason = f"cites {hits[0]['words']}, which is not in {paid.currency}, no rate explains it"
            self._doubt(paid.p, "CURRENCY", reason, [h["i"] for h in hits])
        return reader.found

    def _read_shared(
        self, paid: Paid, shared: list[dict[str, Any]], known: dict[int, Claim], way: str | None
    ) -> list[Hypothesis]:
        """A reference that several invoices carry names none of them; the exact amount may."""
        fitting = [h for h in shared if not h["contradicts"] and h["in_time"] and h["owed"] > 0]
        fitting = [h for h in fitting if h["agrees"]] or fitting
        reader = Reader(paid, self.rules)
        equal = [h for h in fitting if h["owed"] == paid.amount]
        is_sum = not equal and len(fitting) > 1 and sum(h["owed"] for h in fitting) == paid.amount
        for chosen in [[h] for h in equal] or ([fitting] if is_sum else []):
            cited = [Cited(known[h["i"]], "shared", h["words"]) for h in chosen]
            reader.read(cited, payer_by=self._payer_of(chosen, way), stage="shared_reference_and_amount")
        if not reader.found:
            is_order = all(h["kind"] == 2 for h in shared)
            reason = (
                f"cites {shared[0]['words']}, which {len(shared)} invoices carry, and the amount names none"
            )
            self._doubt(
                paid.p, "ORDER" if is_order else "AMBIGUOUS", reason, [h["i"] for h in equal or shared]
            )
        return reader.found

    # -- payments that cite nothing ------------------------------------------------------------------

    def _read_silent(self, silent: pl.DataFrame, contested: set[int]) -> list[Hypothesis]:
        unclear = silent.filter("is_payer_unclear")["p"].to_list()
        for p in unclear:
            self._doubt(p, "PAYER", "cites nothing known, and the payer may be more than one customer", ())
        clear = silent.filter(~pl.col("is_payer_unclear") & (pl.col("payers").list.len() > 0))
        if clear.is_empty():
            return []
        claims = self.claims.with_columns(pl.Series("owed", self.ledger.invoice_open))
        owed = claims.filter((pl.col("owed") > 0) & pl.col("party").is_not_null() & pl.col("is_matchable"))
        cents = (pl.col("owed").cast(pl.Decimal(38, 4)) * pl.col("discount_percent") / 10_000).round(0).cast(
            pl.Int64
        ) * 100
        has_terms = (pl.col("discount_percent") > 0) & pl.col("discount_days").is_not_null()
        owed = owed.with_columns(
            pl.when(has_terms).then(pl.col("owed") - cents).alias("discounted"),
            pl.when(has_terms)
            .then(pl.col("issue_date") + pl.duration(days=pl.col("discount_days")))
            .alias("discount_until"),
            pl.col("i").is_in(list(self.blocks)).alias("is_blocked"),
        )
        ordered = self._in_due_order(clear, silent, claims, contested)
        clear = clear.join(ordered, on="p", how="anti").filter(~pl.col("p").is_in(list(self.doubts)))
        edges, crowd = candidates.amount_edges(clear, owed, self.rules)
        for p, n, first in crowd.select("p", "crowd", "i").iter_rows():
            self._doubt(p, "AMBIGUOUS", f"{n} open invoices of the payer have this amount", first)
        repeats = self._paid_alike(clear)
        edges = edges.with_columns(
            pl.col("i").is_in(list(contested)).alias("is_contested"),
            pl.col("p").is_in(list(repeats)).alias("is_repeat_risk"),
            pl.col("p").is_in(list(self._names)).alias("has_stranger"),
        )
        discounted = owed.filter(pl.col("discounted").is_not_null()).select(
            "party", "currency", pl.col("discounted").alias("want"), pl.col("i").alias("other"),
            pl.col("issue_date").alias("since"),
        )  # fmt: skip
        # An older equal invoice may be meant, its discount taken too late.
        either = (
            edges.filter(pl.col("way") == "discount")
            .join(discounted, on=["party", "currency", "want"])
            .filter((pl.col("other") != pl.col("i")) & (pl.col("since") <= pl.col("booked_date")))
        )
        for p, i, other in either.select("p", "i", "other").sort("p", "i", "other").iter_rows():
            self._doubt(
                p, "AMBIGUOUS", "several equal invoices of the payer, each with a discount", (i, other)
            )
        edges = edges.filter(~pl.col("p").is_in(either["p"].implode()))
        # One invoice, several payments: which of them is for it no weight of the payer's name can say.
        rivals = edges.filter(pl.col("p").n_unique().over("i") > 1)
        for p, fitting in rivals.group_by("p").agg(pl.col("i").unique().sort()).sort("p").iter_rows():
            self._doubt(p, "AMBIGUOUS", "another payment fits as well", fitting)
        edges = edges.join(rivals, on="p", how="anti")
        posted, weighed = plain.plain_payers(edges, self.rules)
        self.ledger.post_plain(posted)
        for p, i in repeats.items():
            if self.ledger.payment_open[p] > 0 and p not in self.doubts:
                self._doubt(p, "DUPLICATE", "the payer already paid an invoice of this amount", (i,))
        weighed = weighed.filter(~pl.col("p").is_in(list(self.doubts)))
        done = pl.concat([edges.select("p"), pl.DataFrame({"p": list(self.doubts)}, schema={"p": pl.Int64})])
        left = clear.join(done, on="p", how="anti").filter(
            pl.col("payer_by").is_in(["account", "tax number", "virtual account", "relation"])
        )
        few = candidates.few_open(left, owed, self.rules)
        wanted = pl.concat([weighed.select("i"), few.select("i")]).unique()
        known = _claims(owed.join(wanted, on="i", how="semi"))
        asked = pl.concat([weighed.select("p"), few.select("p")]).unique()
        paid = _payments(clear.join(asked, on="p", how="semi"))
        ways = dict(clear.select("p", "payer_by").iter_rows())
        found = []
        for p, rows in _by_payment(weighed):
            found += self._read_edges(paid[p], rows, known, ways[p])
        for p, rows in _by_payment(few):
            found += self._read_sums(paid[p], rows, known, ways[p])
        return found

    def _in_due_order(
        self, clear: pl.DataFrame, silent: pl.DataFrame, claims: pl.DataFrame, contested: set[int]
    ) -> pl.DataFrame:
        """Post what is for one of several equal invoices by its due date; `p` of all so judged."""
        claims = claims.filter(
            pl.col("is_matchable") & (pl.col("amount") > 0) & pl.col("party").is_not_null()
        )
        paid = (
            self._paid_so_far()
            .unique()
            .join(self.entries.select("p", "amount", "currency", "booked_date"), on="p")
            .join(
                claims.select("i", "party", "amount", "currency", "due_date"), on=["i", "amount", "currency"]
            )
        )
        late = (pl.col("booked_date") - pl.col("due_date")).dt.total_days()
        habit = recurring.habits(paid.select("party", late.alias("days")), self.rules)
        back = self.entries.filter("is_taking_back").explode("payers")
        dated = silent.filter(pl.col("booked_date").is_not_null())
        asked = dated.join(clear.select("p"), on="p", how="semi")
        asked = asked.filter(~pl.col("p").is_in(list(self._names)))
        judged = recurring.in_due_order(
            dated.select(
                "p", "currency", pl.col("open").alias("amount"), "booked_date", party="payers"
            ).explode("party"),
            claims.select("i", "party", "currency", "amount", "owed", "issue_date", "due_date"),
            habit,
            back.select(party="payers", currency="currency", amount=-pl.col("amount")).drop_nulls(),
            self.rules,
        )  # fmt: skip
        barred = contested | set(self.blocks)
        facts = asked.select("p", "open", "payer_by", "booked_date")
        rows = judged.join(facts, on="p").join(claims.select("i", "issue_date", "due_date"), on="i")
        barring = pl.lit("the equal invoice due nearest is cited by another payment, or blocked")
        is_barred = pl.col("i").is_in(list(barred))
        rows = rows.with_columns(pl.when(is_barred).then(barring).otherwise("why").alias("why"))
        posted, rest = plain.plain_due_order(rows, self.rules)
        self.ledger.post_plain(posted)
        recent = self._paid_alike(clear.join(rest, on="p", how="semi"))
        paid_rows = _payments(asked.join(rest.select("p"), on="p", how="semi"))
        near = rest.select("p", i="fitting").explode("i")
        known = _claims(claims.join(near.select("i").unique(), on="i", how="semi"))
        readings: dict[int, list[Hypothesis]] = {}
        for p, i in near.sort("p", maintain_order=True).iter_rows():
            if known[i].is_open == paid_rows[p].amount:
                reader = Reader(paid_rows[p], self.rules)
                cited = [Cited(known[i], "none", "")]
                reader.read(cited, payer_by=paid_rows[p].payer_by, stage=plain.ORDER)
                readings.setdefault(p, []).extend(h for h in reader.found if h.kind == "one_to_one")
        for p, i, fitting, why in rest.select("p", "i", "fitting", "why").sort("p").iter_rows():
            is_again = p in recent and self.ledger.invoice_open[i] <= 0
            self._doubt(
                p,
                "DUPLICATE" if is_again else "AMBIGUOUS",
                why or "the payer is not certain",
                fitting,
                readings.get(p, ()),
            )
        return pl.concat([posted.select("p"), rest.select("p")])

    def _paid_so_far(self) -> pl.DataFrame:
        """(`p`, `i`) of the payment lines of earlier nights and of tonight."""
        lines = [self.paid_before, *(f.select("p", "i") for f in self.ledger.frames)]
        rows = [(row[0], row[1]) for row in self.ledger.rows if row[2] == "payment"]
        lines.append(pl.DataFrame(rows, schema={"p": pl.Int64, "i": pl.Int64}, orient="row"))
        return pl.concat(lines)

    def _paid_alike(self, silent: pl.DataFrame) -> dict[int, int]:
        """Payments whose payer paid an invoice of exactly this amount shortly before or after."""
        paid = (
            self._paid_so_far()
            .join(self.entries.select("p", pl.col("booked_date").alias("paid_on")), on="p")
            .group_by("i")
            .agg(pl.col("paid_on").max())
            .join(self.claims.select("i", "party", "currency", pl.col("amount").alias("open")), on="i")
            .drop_nulls("party")
        )
        asked = silent.select(
            "p", "currency", "open", "booked_date", pl.col("payers").alias("party")
        ).explode("party")
        near = (pl.col("booked_date") - pl.col("paid_on")).dt.total_days().abs()
        found = asked.join(paid, on=["party", "currency", "open"]).filter(near <= self.rules.duplicate_days)
        found = (
            found.with_columns(near.alias("days"))
            .sort("p", "days", "i")
            .unique("p", keep="first", maintain_order=True)
        )
        return dict(found.select("p", "i").iter_rows())

    def _read_edges(
        self, paid: Paid, rows: list[dict[str, Any]], known: dict[int, Claim], way: str
    ) -> list[Hypothesis]:
        tokens = self._names.get(paid.p, [])
        reader = Reader(paid, self.rules)
        if tokens and not self._is_mistyped(tokens, rows, known):
            self._doubt(
                paid.p, "AMBIGUOUS", "the payment names a document that is not known", [r["i"] for r in rows]
            )
            return []
        for row in rows:
            claim = known[row["i"]]
            reference = "mistyped" if tokens else "none"
            cited = [Cited(claim, reference, f"mistyped as {tokens[0]}" if tokens else "")]
            reader.read(cited, payer_by=way, stage=PAYER)
        reader.found = [h for h in reader.found if h.kind in ("one_to_one", "discount", "fee")]
        return reader.found

    def _is_mistyped(self, tokens: list[str], rows: list[dict[str, Any]], known: dict[int, Claim]) -> bool:
        """Whether unknown numbers in the text can only be a mistyped number of the one invoice.

        Where the payer was invoiced the same amount more than once, a number one digit off is the next one.
        """
        if len({row["i"] for row in rows}) > 1:
            return False
        claim = known[rows[0]["i"]]
        party = rows[0]["party"]
        alike = self.claims.filter(
            (pl.col("party") == party)
            & (pl.col("currency") == claim.currency)
            & (pl.col("amount") == claim.amount)
        ).height
        near = self.rules.references.max_edits
        return (
            alike == 1 and bool(claim.number) and all(OSA.distance(t, claim.number) <= near for t in tokens)
        )

    @cached_property
    def _recurring(self) -> frozenset[int]:
        """Invoices of whose amount the same customer has more than one, settled ones counted."""
        alike = self.claims.filter(
            pl.col("party").is_not_null() & (pl.len().over("party", "currency", "amount") > 1)
        )
        return frozenset(alike["i"].to_list())

    def _read_sums(
        self, paid: Paid, rows: list[dict[str, Any]], known: dict[int, Claim], way: str
    ) -> list[Hypothesis]:
        if paid.p in self._names:
            return []
        reader = Reader(paid, self.rules)
        limits = self.rules.limits
        for party in sorted({row["party"] for row in rows}):
            claims = [known[row["i"]] for row in rows if row["party"] == party]
            opens = [c.is_open for c in claims]
            sums = subsets_of_sum(paid.amount, opens, limits.subset_invoices, limits.subset_size)
            choices = [[claims[k] for k in subset] for subset in sums]
            if len(claims) > 1 and sum(opens) == paid.amount:
                choices.append(claims)
            for chosen in choices:
                if any(c.i in self._recurring for c in chosen):
                    # An equal invoice, paid meanwhile by another payment, may have been meant.
                    reason = "the sum holds an amount that the payer is invoiced again and again"
                    self._doubt(paid.p, "AMBIGUOUS", reason, tuple(c.i for c in chosen))
                    continue
                lines = [line for c in chosen for line in _whole(c)]
                cited = [Cited(c, "none", "") for c in chosen]
                words = "amount equals the sum of only these open invoices of the payer"
                reader.add("one_to_many", "subset", lines, cited, words, payer_by=way, stage="payer_and_sum")
        return reader.found

    # -- the choice ----------------------------------------------------------------------------------

    def _choose(self, found: list[Hypothesis]) -> None:
        opens = {i: int(self.ledger.invoice_open[i]) for h in found for i in h.net}
        choice = choose(found, opens, self.rules)
        ranked: dict[int, list[Hypothesis]] = {}
        for h in sorted(found, key=lambda h: (h.p, -h.score, h.kind, h.lines)):
            ranked.setdefault(h.p, []).append(h)
        for p, alternatives in ranked.items():
            top = tuple(alternatives[: self.rules.max_suggestions])
            invoices = tuple(dict.fromkeys(line.i for h in top for line in h.lines))
            best = choice.chosen.get(p)
            if best is not None:
                top = (best, *(o for o in top if o != best))[: self.rules.max_suggestions]
            if p in choice.beyond:
                self.doubts[p] = Doubt(
                    "AMBIGUOUS", "too many payments and invoices hang together", invoices, top
                )
            elif best is None:
                self.doubts[p] = Doubt(
                    "AMBIGUOUS", "other payments settle the invoices it may be for", invoices, top
                )
            elif any(line.i in self.blocks for line in best.lines):
                blocked = next(line.i for line in best.lines if line.i in self.blocks)
                self.doubts[p] = Doubt("ORDER", f"blocked: {self.blocks[blocked]}", (blocked,), top)
            elif p not in choice.clear:
                reason = (
                    f"{len(alternatives)} readings of the payment are too near to each other"
                    if len(alternatives) > 1
                    else "another payment fits as well"
                )
                self.doubts[p] = Doubt("AMBIGUOUS", reason, invoices, top)
            elif not best.is_certain or best.score < self.rules.minimum:
                is_named = "another name" if best.score < self.rules.minimum and self._is_other(p) else None
                reason = (
                    f"{best.reasons[-1]}, and neither the amount nor the payer confirms it"
                    if not is_named
                    else "cites an invoice, but another customer's name and another amount speak against it"
                )
                self.doubts[p] = Doubt("PAYER" if is_named else "AMOUNT", reason, invoices, top)
            else:
                self.ledger.post(
                    p,
                    best.lines,
                    stage=best.stage,
                    kind=best.kind,
                    score=best.score,
                    evidence="; ".join(best.reasons),
                )
                left = int(self.ledger.payment_open[p])
                if left > 0:
                    rest = text(left, self.entries["currency"][p])
                    self.doubts[p] = Doubt(
                        "AMOUNT", f"{rest} more than was open on what it cites", invoices, top
                    )

    def _is_other(self, p: int) -> bool:
        return bool(self.hits.filter((pl.col("p") == p) & pl.col("is_other_name")).height)


def _whole(claim: Claim) -> list[Line]:
    return [Line(claim.i, "payment", claim.is_open, claim.is_open)]


def _by_payment(rows: pl.DataFrame) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Rows payment by payment, in order."""
    current, group = -1, list[dict[str, Any]]()
    for row in rows.sort("p", "i").iter_rows(named=True):
        if row["p"] != current:
            if group:
                yield current, group
            current, group = row["p"], []
        group.append(row)
    if group:
        yield current, group


def _claims(frame: pl.DataFrame) -> dict[int, Claim]:
    told = frame.with_columns(
        pl.col("corrects_invoice_number")
        .str.to_uppercase()
        .str.replace_all(r"[^\p{L}\p{N}]", "")
        .alias("corrects")
    )
    return {row[0]: Claim(*row) for row in told.select(_CLAIM).iter_rows()}


def _payments(frame: pl.DataFrame) -> dict[int, Paid]:
    columns = [
        "p",
        "open",
        "currency",
        "booked_date",
        pl.col("payer_by").fill_null("unknown"),
        "instructed_amount",
        "instructed_currency",
        "charges_amount",
        "exchange_rate",
    ]
    return {row[0]: Paid(*row) for row in frame.select(columns).iter_rows()}
