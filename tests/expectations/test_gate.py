from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from examples import examples
from gate_tables import check, contract
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crm_hygiene.contract import Check, Contract, contract_of
from crm_hygiene.errors import ConfigurationError
from expectations.gate import GateResult, quarantine_rows, run_gate

AT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def rows(**columns: list[Any]) -> pl.DataFrame:
    """A frame of the test contract; unnamed key columns are filled."""
    height = len(next(iter(columns.values())))
    given_columns = {"source": ["s"] * height, "record_id": [f"r{i}" for i in range(height)], **columns}
    schema = contract().schema
    return contract().shape(pl.DataFrame(given_columns, schema={n: schema[n] for n in given_columns}))


def gate(frame: pl.DataFrame, *checks: Check, required: tuple[str, ...] = ()) -> GateResult:
    return run_gate(contract(*checks, required=required), frame, "run", AT)


def verdict(result: GateResult, name: str) -> dict[str, Any]:
    found = result.results.filter(pl.col("check_name") == name).to_dicts()
    assert len(found) == 1
    return found[0]


def out(result: GateResult) -> list[str]:
    return result.quarantined["record_id"].to_list()


CHECKS = (
    check("expect_column_values_to_be_in_set", because="Channel.", column="channel", value_set=["a", "b"]),
    check("expect_column_values_to_be_between", because="Count.", column="count", min_value=0, max_value=5),
    check("expect_column_values_to_match_regex", because="Mail.", column="email", regex="^[a-z]+@[a-z]+$"),
    check(
        "expect_column_values_to_be_between", because="Born.", column="born", min_value=dt.date(1900, 1, 1)
    ),
    check("expect_column_values_to_be_between", "critical", column="score", min_value=0, max_value=1),
)

MASKS = {
    "source is part of the key.": pl.col("source").is_null(),
    "record_id is part of the key.": pl.col("record_id").is_null(),
    "is_open is required.": pl.col("is_open").is_null(),
    "Channel.": ~pl.col("channel").is_in(["a", "b"]),
    "Count.": ~pl.col("count").is_between(0, 5),
    "Mail.": ~pl.col("email").str.contains(r"^[a-z]+@[a-z]+$"),
    "Born.": pl.col("born") < dt.date(1900, 1, 1),
}

FRAMES = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(["s", "t", None]),
            "channel": st.sampled_from(["a", "b", "c", "", None]),
            "count": st.none() | st.integers(-2, 8) | st.sampled_from([2**62 + 1, -(2**62) - 1]),
            "email": st.none() | st.text("ab@ .", max_size=6),
            "born": st.none() | st.dates(),
            "score": st.none() | st.floats(-0.5, 1.5),
            "is_open": st.none() | st.booleans(),
        }
    ),
    max_size=12,
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records=FRAMES, chunk_rows=st.integers(1, 12))
def test_nothing_is_lost_and_reasons_are_complete(records: list[dict[str, Any]], chunk_rows: int) -> None:
    frame = contract().shape(
        pl.DataFrame(
            [{"record_id": f"r{i}", **r} for i, r in enumerate(records)],
            schema={n: contract().schema[n] for n in ["record_id", *_FIELDS]},
        )
    )
    result = run_gate(contract(*CHECKS, required=("is_open",)), frame, "run", AT, chunk_rows=chunk_rows)

    expected = frame.select(
        "record_id",
        pl.concat_list([pl.when(mask.fill_null(False)).then(pl.lit(text)) for text, mask in MASKS.items()])
        .list.drop_nulls()
        .alias("expected"),
    )
    left = expected.filter(pl.col("expected").list.len() == 0)["record_id"].to_list()
    assert_frame_equal(result.clean, frame.filter(pl.col("record_id").is_in(left)))
    assert_frame_equal(result.quarantined.drop("reasons"), frame.filter(~pl.col("record_id").is_in(left)))
    found = [[text.split(" [")[0] for text in texts] for texts in result.quarantined["reasons"].to_list()]
    assert found == expected.filter(pl.col("expected").list.len() > 0)["expected"].to_list()

    is_broken = ~result.clean["score"].is_between(0, 1)
    assert result.is_stopped == bool(is_broken.fill_null(False).any())
    assert quarantine_rows(contract(), result.quarantined).height == result.quarantined.height
    assert result.results.height == len(contract(*CHECKS, required=("is_open",)).all_checks())


_FIELDS = ["source", "channel", "count", "email", "born", "score", "is_open"]


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=FRAMES, new=FRAMES, repeated=st.booleans(), chunk_rows=st.integers(1, 3))
def test_rows_that_passed_before_need_not_pass_again(
    before: list[dict[str, Any]], new: list[dict[str, Any]], repeated: bool, chunk_rows: int
) -> None:
    noted = check("expect_column_values_to_be_between", "info", because="Noted.", column="count", max_value=3)
    target = contract(*CHECKS, noted, required=("is_open",))

    def frame(records: list[dict[str, Any]], prefix: str) -> pl.DataFrame:
        named = [{"record_id": f"{prefix}{i}", **r} for i, r in enumerate(records)]
        return target.shape(
            pl.DataFrame(named, schema={n: target.schema[n] for n in ["record_id", *_FIELDS]})
        )

    first = run_gate(target, frame(before, "r"), "run", AT)
    kept = first.clean if not first.is_stopped else first.clean.clear()
    told = pl.concat(
        [
            kept.with_columns(is_fresh=pl.lit(False)),
            frame(new, "r" if repeated else "n").with_columns(is_fresh=pl.lit(True)),
        ]
    ).sort("email", "record_id", nulls_last=True)
    whole, fresh = told.drop("is_fresh"), told["is_fresh"]

    anew = run_gate(target, whole, "run", AT, chunk_rows=chunk_rows)
    found = run_gate(target, whole, "run", AT, chunk_rows=chunk_rows, fresh=fresh)

    assert found.is_stopped == anew.is_stopped
    assert_frame_equal(found.clean, anew.clean)
    assert_frame_equal(found.quarantined, anew.quarantined)
    assert_frame_equal(found.results, anew.results)


def test_the_verdict_does_not_depend_on_row_order_or_chunks() -> None:
    frame = rows(channel=["a", "x", "y", None, "b", "x"], count=[1, 9, None, 3, -1, 2])
    forward = run_gate(contract(*CHECKS), frame, "run", AT)
    backward = run_gate(contract(*CHECKS), frame.reverse(), "run", AT, chunk_rows=2)
    assert_frame_equal(forward.results, backward.results)
    assert_frame_equal(forward.quarantined, backward.quarantined.reverse())
    assert_frame_equal(forward.clean, backward.clean.reverse())


def test_reasons_show_values_and_mask_personal_ones() -> None:
    frame = rows(channel=["fax", "a"], email=["john.doe.example.org", "bo"])
    result = gate(frame, *CHECKS)
    assert result.quarantined["reasons"].to_list() == [
        ["Channel. [channel: fax]", "Mail. [email: j***]"],
        ["Mail. [email: ***]"],
    ]


def test_a_check_without_because_names_itself() -> None:
    result = gate(
        rows(channel=["x"]), check("expect_column_values_to_be_in_set", column="channel", value_set=["a"])
    )
    assert result.quarantined["reasons"].to_list() == [
        ["column_values_to_be_in_set(channel) does not hold. [channel: x]"]
    ]


def test_a_critical_check_stops_the_table_and_quarantines_nothing() -> None:
    frame = rows(score=[0.5, 1.5])
    result = gate(frame, *CHECKS)
    assert result.is_stopped
    assert_frame_equal(result.clean, frame)
    found = verdict(result, "column_values_to_be_between(score)")
    assert (found["failed_count"], found["row_count"], found["observed"]) == (1, 2, "1 of 2 rows")
    assert found["examples"] == ["source=s, record_id=r1 (score: 1.5)"]


def test_critical_checks_are_judged_on_the_rows_that_are_left() -> None:
    frame = rows(channel=["fax", "a"], score=[1.5, 0.5])
    result = gate(frame, *CHECKS)
    assert not result.is_stopped
    assert out(result) == ["r0"]
    assert verdict(result, "column_values_to_be_between(score)")["row_count"] == 1


def test_a_repeated_key_stops_unless_quarantine_left_it_alone() -> None:
    twice = rows(record_id=["r", "r"], channel=["a", "a"])
    stopped = gate(twice, *CHECKS)
    assert stopped.is_stopped
    assert verdict(stopped, "compound_columns_to_be_unique(source,record_id)")["failed_count"] == 2
    assert not gate(rows(record_id=["r", "r"], channel=["a", "fax"]), *CHECKS).is_stopped


def test_info_and_table_level_warnings_are_noted_only() -> None:
    result = gate(
        rows(channel=["fax", "a"], count=[1, 2]),
        check("expect_column_values_to_be_in_set", "info", column="channel", value_set=["a"]),
        check("expect_table_row_count_to_be_between", "warning", min_value=10),
        check("expect_column_mean_to_be_between", "warning", column="count", min_value=5),
    )
    assert not result.is_stopped
    assert result.quarantined.is_empty()
    assert verdict(result, "column_values_to_be_in_set(channel)")["failed_count"] == 1
    assert verdict(result, "table_row_count_to_be_between(table)")["observed"] == "observed 2"
    mean = verdict(result, "column_mean_to_be_between(count)")
    assert (mean["is_passed"], mean["observed"], mean["failed_count"]) == (False, "observed 1.5", None)


def test_a_critical_table_level_check_stops() -> None:
    assert gate(
        rows(count=[1]), check("expect_table_row_count_to_be_between", "critical", min_value=2)
    ).is_stopped


def test_a_table_that_lost_all_rows_still_answers_for_its_size() -> None:
    result = gate(
        rows(channel=["fax"]), *CHECKS, check("expect_table_row_count_to_be_between", "critical", min_value=1)
    )
    assert result.clean.is_empty()
    assert result.is_stopped


def test_warning_uniqueness_quarantines_every_repetition() -> None:
    unique = check("expect_column_values_to_be_unique", column="email")
    assert out(gate(rows(email=["a", "b", "a", None, None]), unique)) == ["r0", "r2"]


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_a_check_that_raises_has_failed(severity: str) -> None:
    broken = check("expect_column_values_to_match_regex", severity, column="channel", regex="(")
    result = gate(rows(channel=["a"]), broken)
    found = verdict(result, "column_values_to_match_regex(channel)")
    assert found["is_passed"] is False
    assert found["observed"].startswith("could not be evaluated: ")
    assert result.is_stopped == (severity == "critical")
    assert result.clean.height == 1


def test_an_exception_on_a_personal_column_quotes_no_cell() -> None:
    result = gate(
        rows(email=["jane@secret.example"]),
        check("expect_column_values_to_be_between", column="email", min_value=1),
    )
    observed = verdict(result, "column_values_to_be_between(email)")["observed"]
    assert "could not be evaluated" in observed
    assert "withheld" in observed
    assert "secret" not in str(result.results.to_dicts())


def test_dates_and_timestamps_of_any_year_compare_with_dates() -> None:
    years = [dt.date(9999, 12, 31), dt.date(1, 1, 1), None, dt.date(2020, 1, 1), dt.date(2100, 1, 1)]
    moments = [None if d is None else dt.datetime(d.year, d.month, d.day, tzinfo=dt.UTC) for d in years]
    bounds = {"min_value": dt.date(1970, 1, 1), "max_value": dt.date(2100, 1, 1)}
    frame = rows(born=years, seen_at=moments)
    for column in ("born", "seen_at"):
        result = gate(frame, check("expect_column_values_to_be_between", column=column, **bounds))
        assert out(result) == ["r0", "r1"]
        assert verdict(result, f"column_values_to_be_between({column})")["observed"] == "2 of 5 rows"


def test_a_microsecond_past_the_bound_is_past_it_even_in_year_9999() -> None:
    bound = dt.datetime(9999, 12, 31, 23, 59, 59, 999998, tzinfo=dt.UTC)
    frame = rows(seen_at=[bound, bound + dt.timedelta(microseconds=1)])
    assert out(
        gate(frame, check("expect_column_values_to_be_between", column="seen_at", max_value=bound))
    ) == ["r1"]


def test_dates_work_in_sets_and_table_level_bounds() -> None:
    frame = rows(born=[dt.date(2020, 1, 1), dt.date(2021, 1, 1), None])
    result = gate(
        frame,
        check("expect_column_values_to_be_in_set", column="born", value_set=[dt.date(2020, 1, 1)]),
        check("expect_column_max_to_be_between", "critical", column="born", max_value=dt.date(2020, 1, 1)),
    )
    assert out(result) == ["r1"]
    assert not result.is_stopped


def test_money_compares_as_it_is_written() -> None:
    frame = rows(
        amount=[Decimal("0.01"), Decimal("0.0099"), None, Decimal("99999999999.9999"), Decimal("0.1")]
    )
    low = check(
        "expect_column_values_to_be_between", column="amount", min_value=0.01, max_value=99999999999.9998
    )
    assert out(gate(frame, low)) == ["r1", "r3"]
    one = check("expect_column_values_to_not_be_in_set", column="amount", value_set=[0.1])
    assert out(gate(frame, one)) == ["r4"]


def test_integers_beyond_the_floats_stay_exact_beside_nulls() -> None:
    limit = 2**53
    frame = rows(count=[limit, limit + 1, None])
    assert out(gate(frame, check("expect_column_values_to_be_between", column="count", max_value=limit))) == [
        "r1"
    ]


def test_lists_and_floats_know_null() -> None:
    frame = rows(tags=[["a"], [], None], score=[float("nan"), 0.5, 0.5])
    result = gate(frame, required=("tags", "score"))
    assert dict(zip(out(result), result.quarantined["reasons"].to_list(), strict=True)) == {
        "r0": ["score is required."],
        "r2": ["tags is required."],
    }


def test_row_conditions_and_mostly() -> None:
    frame = rows(channel=["email", "email", "phone"], email=["a@b", None, None])
    conditional = check(
        "expect_column_values_to_not_be_null",
        column="email",
        row_condition="channel == 'email'",
        condition_parser="pandas",
    )
    assert out(gate(frame, conditional)) == ["r1"]
    lenient = check("expect_column_values_to_be_in_set", column="channel", value_set=["email"], mostly=0.6)
    strict = check("expect_column_values_to_be_in_set", column="channel", value_set=["email"], mostly=0.7)
    assert out(gate(frame, lenient)) == []
    assert out(gate(frame, strict)) == ["r2"]


def test_pairs_of_columns() -> None:
    ordered = check(
        "expect_column_pair_values_a_to_be_greater_than_b",
        because="Late.",
        column_A="seen_at",
        column_B="born",
    )
    frame = rows(
        seen_at=[dt.datetime(2020, 1, 2, tzinfo=dt.UTC), dt.datetime(2019, 1, 1, tzinfo=dt.UTC)],
        born=[dt.date(2020, 1, 1), dt.date(2020, 1, 1)],
    )
    assert out(gate(frame, ordered)) == ["r1"]


def test_examples_are_ten_sorted_keys() -> None:
    frame = rows(score=[2.0] * 25)
    examples = verdict(gate(frame, *CHECKS), "column_values_to_be_between(score)")["examples"]
    assert examples == sorted(f"source=s, record_id=r{i} (score: 2.0)" for i in range(25))[:10]


def test_personal_keys_are_masked_in_examples() -> None:
    keyed = contract(CHECKS[-1]).model_copy(update={"key": ("email",)})
    result = run_gate(keyed, rows(score=[2.0], email=["john@example.org"]), "run", AT)
    assert verdict(result, "column_values_to_be_between(score)")["examples"] == ["email=j*** (score: 2.0)"]


def test_results_have_the_contract_of_gate_results() -> None:
    results = gate(rows(count=[1]), *CHECKS).results
    target = contract_of("quality.gate_results")
    assert results.schema == target.schema
    assert not results.select(target.key).is_duplicated().any()
    assert results["checked_at"].unique().to_list() == [AT]
    passed = results.filter(pl.col("check_name") == "column_values_to_be_between(count)")
    assert passed["observed"].to_list() == ["0 of 1 rows"]


def test_gate_results_and_quarantine_pass_their_own_gates() -> None:
    result = gate(rows(channel=["fax", "fax"], count=[1, 2]), *CHECKS)
    quarantined = quarantine_rows(contract(), result.quarantined)
    for table, frame in (("quality.gate_results", result.results), ("quality.quarantine", quarantined)):
        again = run_gate(contract_of(table), frame, "run", AT)
        assert not again.is_stopped
        assert_frame_equal(again.clean, frame)


def test_a_refused_quarantine_row_keeps_its_own_reasons() -> None:
    target = contract_of("quality.quarantine")
    frame = target.shape(pl.DataFrame({"table_name": ["t"], "reasons": [["first"]]}))
    result = run_gate(target, frame, "run", AT)
    assert result.quarantined["reasons"].to_list() == [["first", "quarantine_id is part of the key."]]


def test_a_missing_column_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"tests\.rows.*'channel'.*did you mean 'chanel'"):
        gate(rows(channel=["a"]).rename({"channel": "chanel"}), *CHECKS)


def test_quarantine_rows_tell_the_cells_as_text() -> None:
    frame = rows(
        channel=['a "quoted"\n| text'],
        amount=[Decimal("1.5")],
        born=[dt.date(2020, 2, 3)],
        tags=[["x", None]],
        is_open=[True],
    )
    result = gate(frame, check("expect_column_values_to_be_null", because="No.", column="channel"))
    stored = quarantine_rows(contract(), result.quarantined)
    assert stored.schema == contract_of("quality.quarantine").schema
    row = stored.to_dicts()[0]
    assert json.loads(row["row"]) == {
        "source": "s",
        "record_id": "r0",
        "channel": 'a "quoted"\n| text',
        "amount": "1.5000",
        "born": "2020-02-03",
        "tags": ["x", None],
        "is_open": "true",
    }
    assert (row["table_name"], row["source"], row["record_id"], row["file"]) == (
        "tests.rows",
        "s",
        "r0",
        None,
    )
    assert len(row["quarantine_id"]) == 32


def test_quarantine_ids_are_stable_and_tell_equal_rows_apart() -> None:
    frame = rows(record_id=[None, None, "r"], channel=["a", "a", "fax"])
    first = quarantine_rows(contract(), gate(frame, *CHECKS).quarantined)
    second = quarantine_rows(contract(), gate(frame.reverse(), *CHECKS).quarantined)
    assert first["quarantine_id"].n_unique() == 3
    assert sorted(first["quarantine_id"]) == sorted(second["quarantine_id"])


def test_nothing_quarantined_is_an_empty_table() -> None:
    result = gate(rows(channel=["a"]), *CHECKS)
    assert quarantine_rows(contract(), result.quarantined).schema == contract_of("quality.quarantine").schema
    assert result.quarantined.schema == {**result.clean.schema, "reasons": pl.List(pl.String)}


def test_no_rows_pass_without_the_engine() -> None:
    code = (
        "import sys, datetime as dt\n"
        "from crm_hygiene.contract import load_contracts\n"
        "from expectations.gate import run_gate, quarantine_rows\n"
        "for c in load_contracts().values():\n"
        "    r = run_gate(c, c.empty(), 'run', dt.datetime(2026, 1, 1))\n"
        "    assert not r.is_stopped and r.results['is_passed'].all() and r.results.height\n"
        "    assert quarantine_rows(c, r.quarantined).is_empty()\n"
        "assert 'great_expectations' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_gate_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    gate(rows(channel=["fax"], email=["x"]), *CHECKS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("table", ["conformed.people", "conformed.invoices", "golden.contacts"])
def test_real_contracts_run_on_rows_of_nulls(table: str) -> None:
    target: Contract = contract_of(table)
    frame = target.shape(pl.DataFrame({target.key[0]: ["k", "l"]}))
    result = run_gate(target, frame, "run", AT)
    assert not result.is_stopped
    assert result.quarantined.height == 2
    assert result.results["observed"].str.contains("could not").sum() == 0
