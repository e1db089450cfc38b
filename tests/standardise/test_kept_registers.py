"""What is kept or read by whole columns says what the libraries say."""

from __future__ import annotations

import string

import idna
import polars as pl
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from schwifty import IBAN
from schwifty.exceptions import SchwiftyException

from crm_hygiene.standardise import bank_accounts, country_names, domains


def test_kept_country_names_are_those_of_the_installed_babel() -> None:
    kept = country_names.KEPT.read_text(encoding="utf-8")
    assert kept == country_names.written(), "python -m crm_hygiene.standardise.country_names writes it anew"
    assert country_names.country_names() == country_names.gathered()


@given(st.lists(st.text("ab1-_", max_size=70), min_size=1, max_size=4).map(".".join))
def test_ascii_hosts_stand_for_themselves_only_where_idna_says_so(host: str) -> None:
    try:
        said = idna.encode(host, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        said = None
    assert domains.ascii_host(host) == said


_COUNTRIES = ("DE", "FR", "NL", "GB", "BE", "IT", "ES", "CH", "AT", "PL", "SE", "MT", "NO", "XX")


def _accepted(text: str) -> bool:
    try:
        IBAN(text)
    except (SchwiftyException, ValueError, KeyError):
        return False
    return True


def _with_check(country: str, bban: str) -> str:
    digits = "".join(str(int(c, 36)) for c in f"{bban}{country}00")
    return f"{country}{98 - int(digits) % 97:02d}{bban}"


_BBANS = st.integers(11, 30).flatmap(lambda n: st.text(string.digits + "AZ", min_size=n, max_size=n))
_LENGTHS = {
    "DE": 18,
    "FR": 23,
    "NL": 14,
    "BE": 12,
    "AT": 16,
    "ES": 20,
    "NO": 11,
    "PL": 24,
    "CH": 17,
    "SE": 20,
}


@settings(max_examples=examples(60))
@given(
    st.lists(
        st.one_of(
            st.builds(_with_check, st.sampled_from(_COUNTRIES), _BBANS),
            st.builds(
                lambda c, k, b: f"{c}{k:02d}{b}", st.sampled_from(_COUNTRIES), st.integers(0, 99), _BBANS
            ),
            st.sampled_from(sorted(_LENGTHS)).flatmap(
                lambda c: st.text(string.digits, min_size=_LENGTHS[c], max_size=_LENGTHS[c]).map(
                    lambda b: _with_check(c, b)
                )
            ),
        ),
        max_size=8,
    )
)
def test_ibans_read_by_whole_columns_are_accepted_by_schwifty(written: list[str]) -> None:
    sure = bank_accounts.is_surely_valid(pl.Series("iban", written, dtype=pl.String))
    for text, is_sure in zip(written, sure, strict=True):
        assert _accepted(text) or not is_sure


def test_whole_columns_know_nearly_every_valid_iban() -> None:
    written = [_with_check(c, f"{n:0{length}d}") for c, length in _LENGTHS.items() for n in range(20)]
    valid = [text for text in written if _accepted(text)]
    assert len(valid) > 100
    assert bank_accounts.is_surely_valid(pl.Series("iban", valid)).all()
