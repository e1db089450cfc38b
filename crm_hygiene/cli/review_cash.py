"""`crm-hygiene review cash`: payments that wait for a person, deciding, taking back, bulk work."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from crm_hygiene.cash_desk.amounts import read_amount
from crm_hygiene.cash_desk.bulk import import_decisions
from crm_hygiene.cash_desk.case import find_exception, read_case, suggestion_of, suggestions_of
from crm_hygiene.cash_desk.deciding import decide
from crm_hygiene.cash_desk.decision_log import CashLog
from crm_hygiene.cash_desk.exchange import read_rate
from crm_hygiene.cash_desk.invoice_names import InvoiceNames
from crm_hygiene.cash_desk.proposals import Proposal, Wish, part_of, proposal_of, split_of
from crm_hygiene.cash_desk.revocation import revoke
from crm_hygiene.cash_desk.worklist import worklist
from crm_hygiene.cash_desk.worksheet import export_worksheet
from crm_hygiene.cli.acting import acting
from crm_hygiene.cli.json_output import print_json
from crm_hygiene.cli.options import ByOption, ConfigOption, JsonOption
from crm_hygiene.cli.review_cash_text import (
    case_json,
    show_case,
    show_cash_decisions,
    show_cash_import,
    show_cash_revocation,
    show_decided,
    show_worklist,
)
from crm_hygiene.config import load_config
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.lake import Lake
from crm_hygiene.night import Night, cash_rules_of
from crm_hygiene.night_lock import night_lock
from crm_hygiene.stewardship.targets import parse_record

app = typer.Typer(
    name="cash",
    help="Payments that need a person: list, show, decide, revoke, work in bulk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class ExceptionType(StrEnum):
    """Why a person has to look."""

    amount = "AMOUNT"
    date = "DATE"
    ambiguous = "AMBIGUOUS"
    duplicate = "DUPLICATE"
    payer = "PAYER"
    currency = "CURRENCY"
    reversal = "REVERSAL"
    order = "ORDER"
    unknown = "UNKNOWN"


class Action(StrEnum):
    """What can be done with an exception."""

    apply = "apply"
    split_over = "split"  # a text has a method `split`
    write_off = "write-off"
    refund = "refund"
    park = "park"


TypeOption = Annotated[
    ExceptionType | None,
    typer.Option("--type", case_sensitive=False, help="Only exceptions of this type."),
]
MinAmountOption = Annotated[
    str | None, typer.Option("--min-amount", help="Least amount at stake, in its own currency.")
]
ExceptionArgument = Annotated[
    str, typer.Argument(help="Id of an exception, or its first characters; or a payment, source:record_id.")
]


def _today() -> date:
    return datetime.now(UTC).date()


def _least(amount: str | None) -> int:
    return 0 if amount is None or not amount.strip("0.") else read_amount(amount, None)


@app.command("list")
def list_command(
    exception_type: TypeOption = None,
    min_amount: MinAmountOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Exceptions to print.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The open exceptions; first those with most money for their currency that have waited longest."""
    night = Night.open(load_config(config))
    wanted = exception_type.value if exception_type else None
    found = worklist(night.lake, _today(), wanted, _least(min_amount), limit)
    if as_json:
        print_json(found.rows.to_dicts())
    else:
        show_worklist(found, Console())


@app.command("show")
def show_command(
    exception: ExceptionArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """One exception: the payment and its text, the suggestions with reasons, invoices with open amounts."""
    night = Night.open(load_config(config))
    case = read_case(night.lake, find_exception(night.lake, exception), CashLog.read(night.lake))
    if as_json:
        print_json(case_json(case))
    else:
        show_case(case, Console())


def _proposal(
    lake: Lake,
    exception: str,
    action: Action | None,
    suggestion: int | None,
    invoices: list[str],
    amount: str | None,
    until: datetime | None,
    reason: str | None,
    more: Extras,
) -> Proposal:
    """What the words on the command line ask for."""
    row = find_exception(lake, exception)
    currency = row["currency"] or ""
    if suggestion is not None:
        said = invoices or amount or until or any(more)
        if action not in (None, Action.apply, Action.split_over) or said:
            raise ConfigurationError(
                "--suggestion N says it all; leave the other words away, except --reason"
            )
        ranked = suggestions_of(lake, [row["exception_id"]]).get(row["exception_id"], ())
        return proposal_of(suggestion_of(ranked, suggestion), reason)
    if action is None:
        raise ConfigurationError(
            f"say what to do: {', '.join(a.value for a in Action)}, or --suggestion N to take one"
        )
    _check_words(action, invoices, amount, until, more)
    if action is Action.park:
        return Proposal((Wish("park"),), reason, None if until is None else until.date())
    if action is Action.split_over:
        parts = [part_of(word) for word in invoices]
        names = InvoiceNames.read(lake, [word for word, _ in parts])
        return split_of([(names.find(word), read_amount(value, currency)) for word, value in parts], reason)
    names = InvoiceNames.read(lake, invoices)
    invoice = names.find(invoices[0]) if invoices else None
    value = read_amount(amount, names.currencies[invoice] if invoice else currency) if amount else None
    if action is Action.apply and more.payment:
        return Proposal((Wish("apply", takes_back=parse_record(more.payment)),), reason)
    if action is Action.apply:
        used = read_amount(more.paid, currency) if more.paid else None
        rate = read_rate(more.rate) if more.rate else None
        return Proposal((Wish("apply", invoice, value, used, rate),), reason)
    if action is Action.refund:
        return Proposal((Wish("refund", None, value),), reason)
    return Proposal((Wish("write_off", invoice, value, is_rest=more.is_rest),), reason)


class Extras(NamedTuple):
    """Options that few decisions need."""

    paid: str | None = None
    rate: str | None = None
    payment: str | None = None
    is_rest: bool = False


def _check_words(
    action: Action, invoices: list[str], amount: str | None, until: datetime | None, more: Extras
) -> None:
    """Refuse options that the action does not take, and the lack of those it needs."""
    takes = {
        Action.apply: "one --invoice, and --amount for a part of it, --paid or --rate where its currency is "
        "another; or, for a reversal, --payment SOURCE:RECORD_ID alone",
        Action.split_over: "--invoice INVOICE=AMOUNT two times or more",
        Action.write_off: "--amount and --reason, and --invoice where the exception names none; or --rest "
        "and --reason for what is left of the payment",
        Action.refund: "--amount for a part of what is left",
        Action.park: "--until DATE",
    }[action]
    wrong = {
        Action.apply: until or (invoices or amount or more.paid or more.rate)
        if more.payment
        else len(invoices) != 1 or until,
        Action.split_over: len(invoices) < 2 or amount or until,
        Action.write_off: until or (bool(invoices) if more.is_rest else len(invoices) > 1 or not amount),
        Action.refund: invoices or until,
        Action.park: invoices or amount or not until,
    }[action]
    if action is not Action.apply:
        wrong = wrong or more.paid or more.rate or more.payment
    if action is not Action.write_off:
        wrong = wrong or more.is_rest
    if wrong:
        raise ConfigurationError(f"{action.value} takes {takes}")


@app.command("decide")
def decide_command(
    exception: ExceptionArgument,
    action: Annotated[Action | None, typer.Argument(help="What to do.")] = None,
    invoice: Annotated[
        list[str] | None,
        typer.Option("--invoice", help="source:record_id or an invoice number; for split with =AMOUNT."),
    ] = None,
    amount: Annotated[str | None, typer.Option("--amount", help="As 1234.50; default: all there is.")] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="Last day it is put off.")
    ] = None,
    suggestion: Annotated[
        int | None, typer.Option("--suggestion", min=1, help="Take the suggestion of this rank.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", "--why", help="The reason, kept with the decision.")
    ] = None,
    paid: Annotated[
        str | None,
        typer.Option(
            "--paid", help="Invoice in another currency: what of the payment is used; default: all."
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option("--rate", help="Invoice in another currency: the rate; default: the bank's, if told."),
    ] = None,
    payment: Annotated[
        str | None, typer.Option("--payment", help="Of a reversal: the payment taken back, source:record_id.")
    ] = None,
    rest: Annotated[
        bool, typer.Option("--rest", help="Write off what is left of the payment, not of an invoice.")
    ] = False,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide an exception. It is posted by the next night, and no night overturns it."""
    night = Night.open(load_config(config))
    why = (reason or "").strip() or None
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        more = Extras(paid, rate, payment, rest)
        proposal = _proposal(
            night.lake, exception, action, suggestion, invoice or [], amount, until, why, more
        )
        done = decide(night, exception, proposal, acting(by))
    if as_json:
        print_json(
            {
                "decision_group": done.group,
                "added": done.rows.to_dicts(),
                "already_decided": [row["cash_decision_id"] for row in done.repeated],
                "notes": list(done.notes),
            }
        )
    else:
        show_decided(done, Console())


@app.command("revoke")
def revoke_command(
    decision: Annotated[str, typer.Argument(help="A decision (K-...) or one line of it (C-...).")],
    reason: Annotated[
        str | None, typer.Option("--reason", "--why", help="The reason, kept with the revocation.")
    ] = None,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a decision back; the next night takes back what was posted, and asks again."""
    night = Night.open(load_config(config))
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        done = revoke(night, decision, (reason or "").strip() or None, acting(by))
    if as_json:
        print_json(
            {
                "added": done.rows.to_dicts(),
                "revoked": [row["cash_decision_id"] for row in done.revoked],
                "already_revoked": [row["revokes_decision_id"] for row in done.already],
            }
        )
    else:
        show_cash_revocation(done, Console())


@app.command("decisions")
def decisions_command(
    is_all: Annotated[
        bool, typer.Option("--all", help="Also what was revoked, and the revocations.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Decisions to print.")] = 40,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What has been decided, the newest first: who, when, why, and whether it is posted."""
    night = Night.open(load_config(config))
    rows = CashLog.read(night.lake).fates(_today())
    shown = rows if is_all else rows.filter(~rows["state"].is_in(["revoked", "revocation"]))
    if as_json:
        print_json(shown.to_dicts())
    else:
        show_cash_decisions(shown, rows.height - shown.height, Console(), limit)


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="CSV file to write.")],
    exception_type: TypeOption = None,
    min_amount: MinAmountOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most exceptions to write.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the open exceptions to a CSV file, to be decided in a spreadsheet."""
    night = Night.open(load_config(config))
    wanted = exception_type.value if exception_type else None
    written = export_worksheet(
        night.lake, file, cash_rules_of(night.config), _today(), wanted, _least(min_amount), limit
    )
    if as_json:
        print_json({"file": str(file), "exceptions": written})
        return
    typer.echo(f"{written:,} exceptions written to {file}; it holds personal data, keep it where that may be")
    typer.echo(
        "Write apply, split, write off, refund, park or the number of a suggestion into the column decision, "
        "what it needs into invoice, amount, until and reason, leave open what you cannot say, save as CSV, "
        f"then: crm-hygiene review cash import {file}"
    )


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="The exported file filled in.")],
    is_strict: Annotated[bool, typer.Option("--strict", help="Take nothing if one line is wrong.")] = False,
    by: ByOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take decisions from a CSV file; exit code 1 if a line was refused."""
    night = Night.open(load_config(config))
    with night_lock(night.config.lake_uri, night.lake.storage_options):
        done = import_decisions(night, file, acting(by), is_strict)
    if as_json:
        print_json(
            {
                "added": done.rows.to_dicts(),
                "already_decided_lines": list(done.repeated),
                "revoked_before_lines": list(done.revoked_before),
                "refused": [{"line": line.number, "reason": line.reason} for line in done.refused],
                "without_decision": done.blank,
            }
        )
    else:
        show_cash_import(done, file, is_strict, Console())
    raise typer.Exit(1 if done.refused else 0)
