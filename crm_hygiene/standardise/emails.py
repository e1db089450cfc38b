"""E-mail addresses: the address, the mailbox behind it, and what kind of mailbox that is.

Plain ASCII addresses are read by one expression; only internationalised and quoted ones go through
email-validator, without looking anything up. Lists of providers are data with their licences.
"""

from __future__ import annotations

from functools import cache

import polars as pl
from email_validator import EmailNotValidError, validate_email

from crm_hygiene.standardise.placeholders import is_placeholder
from crm_hygiene.standardise.text import any_of, clean, cleaned, complaint, package_list, text_column

_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~\-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?"
_PLAIN = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[a-z](?:[a-z0-9\-]{{0,61}}[a-z0-9])$"
# RFC 6761 and 8375 names that never receive mail from outside. `test` and `example` are let through:
# they do no harm and rehearsals live there.
_UNDELIVERABLE = r"\.(?:invalid|localhost|local|arpa|onion)$"
_LOCAL_LIMIT, _ADDRESS_LIMIT = 64, 254

GOOGLE_DOMAINS = ("gmail.com", "googlemail.com")
# A made-up mailbox at a made-up domain: none@none.com, test@test.de, a@a.com, asdf@example.com.
JUNK_WORDS = (
    "none", "na", "n", "noemail", "nomail", "no", "test", "tester", "testing", "example", "null",
    "nobody", "noone",
    "unknown", "asdf", "asdfasdf", "qwerty", "abc", "aaa", "xxx", "xx", "x", "a", "fake", "foo", "bar",
    "dummy",
    "email", "mail", "domain", "user", "temp", "sample", "nowhere", "notprovided", "void", "placeholder",
)  # fmt: skip
# Mailboxes that say "there is none", at whatever domain.
ABSENT_LOCAL_PARTS = (
    "noemail", "no-email", "no.email", "no_email", "nomail", "no-mail", "none", "notprovided", "not.provided",
    "notavailable", "unknown", "keine", "keineemail", "n/a", "fake", "placeholder",
)  # fmt: skip


def _odd_address(text: str) -> str | None:
    """An internationalised or quoted address in its one ASCII-domain form, or None."""
    try:
        read = validate_email(
            text,
            check_deliverability=False,
            allow_quoted_local=True,
            globally_deliverable=False,
            test_environment=True,
        )
    except (EmailNotValidError, UnicodeError, ValueError):
        return None
    domain = read.ascii_domain
    address = f"{read.local_part.lower()}@{domain.lower()}" if domain else ""
    plain = "@" in address and not any(c.isspace() for c in address) and address.count("@") == 1
    # Lower case can turn an odd address into one that cleaning would change again: no address then.
    return address if plain and "." in address.partition("@")[2] and clean(address) == address else None


def _written(column: str) -> pl.Expr:
    """The address inside `mailto:a@b?subject=...`, `Name <a@b>` and stray brackets, lower case."""
    return (
        cleaned(column)
        .str.replace(r"^.*<([^<>]*@[^<>]*)>[^<>]*$", "$1")
        .str.replace(r"^(?i:mailto:|smtp:|e-?mail:)\s*", "")
        .str.replace(r"^([^?]*@[^?]*)\?.*$", "$1")
        .str.strip_chars(" <>()[];,:")
        .str.strip_chars_end(".")
        .str.to_lowercase()
    )


@cache
def _kind() -> pl.Expr:
    """What the mailbox is; a listed provider also covers the hosts below it."""
    domain, local = pl.col("email_domain"), pl.col("_local").str.replace(r"\+.*$", "")
    parent = pl.when(domain.str.count_matches(".", literal=True) > 1).then(
        domain.str.replace(r"^[^.]*\.", "")
    )
    listed = {n: any_of(package_list(f"{n}_domains")) for n in ("disposable", "free")}
    return (
        pl.when(domain.is_null())
        .then(pl.lit(None, dtype=pl.String))
        .when(domain.is_in(listed["disposable"]) | parent.is_in(listed["disposable"]))
        .then(pl.lit("disposable"))
        .when(local.is_in(any_of(package_list("role_local_parts"))))
        .then(pl.lit("role"))
        .when(domain.is_in(listed["free"]) | parent.is_in(listed["free"]))
        .then(pl.lit("free"))
        .otherwise(pl.lit("person"))
    )


def standardise_emails(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns [raw] -> adds email, email_normalised, email_domain, email_kind and problem.

    `email` is lower case with its tag and dots and the domain in ASCII; `email_normalised` is without the
    tag, and without dots at Google, whose two domains become one. `email_kind` is disposable, role,
    free or person, the first that applies. Placeholders such as none@none.com become null.
    """
    frame = frame.with_columns(_text=cleaned("raw"), _written=_written("raw"))
    frame = frame.with_columns(
        _email=pl.when(pl.col("_written").str.contains(_PLAIN)).then(pl.col("_written"))
    )
    odd = (
        frame["_email"].is_null()
        & frame["_written"].str.contains("@", literal=True)
        & frame["_written"].str.contains(r'[^\x00-\x7f]|^"')
    ).fill_null(False)
    where = odd.arg_true()
    if where.len():
        read = text_column([_odd_address(t) for t in frame["_written"].gather(where)])
        frame = frame.with_columns(frame["_email"].clone().scatter(where, read).alias("_email"))
    email, local, domain = pl.col("_email"), pl.col("_local"), pl.col("email_domain")
    is_google = domain.is_in(any_of(GOOGLE_DOMAINS))
    base = local.str.replace(r"^([^+]+)\+.*$", "$1")
    mailbox = pl.when(is_google).then(base.str.replace_all(".", "", literal=True)).otherwise(base)
    junk = (
        local.is_in(any_of(JUNK_WORDS)) & domain.str.replace(r"\..*$", "").is_in(any_of(JUNK_WORDS))
        | local.is_in(any_of(ABSENT_LOCAL_PARTS))
    ) | (is_placeholder("_written") & email.is_null())
    fits = (local.str.len_bytes() <= _LOCAL_LIMIT) & (email.str.len_bytes() <= _ADDRESS_LIMIT)
    why = (
        pl.when(junk)
        .then(pl.lit("is a placeholder"))
        .when(email.is_null() | ~fits)
        .then(pl.lit("is not an e-mail address"))
        .when(domain.str.contains(_UNDELIVERABLE))
        .then(pl.lit("cannot receive mail"))
    )
    return (
        frame.with_columns(_local=email.str.extract(r"^(.*)@"), email_domain=email.str.extract(r"@([^@]*)$"))
        .with_columns(_why=pl.when(pl.col("_text").is_not_null()).then(why))
        .with_columns(email=pl.when(pl.col("_why").is_null()).then(email))
        .with_columns(email_domain=pl.when(pl.col("email").is_not_null()).then(domain))
        .with_columns(
            email_normalised=pl.concat_str(
                mailbox,
                pl.when(is_google).then(pl.lit("gmail.com")).otherwise(domain),
                separator="@",
            ),
            email_kind=_kind(),
            problem=complaint("e-mail", "_text", pl.col("_why")),
        )
        .select(
            *(c for c in frame.columns if not c.startswith("_")),
            "email",
            "email_normalised",
            "email_domain",
            "email_kind",
            "problem",
        )
    )
