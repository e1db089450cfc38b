from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import polars as pl
import pytest

from crm_hygiene.evaluation.accuracy import pairwise
from crm_hygiene.linkage import Linkage
from crm_hygiene.linkage.recipe import Numbers
from crm_hygiene.linkage.training import blended

from .conftest import word

Run = Callable[..., Linkage]


def _firms() -> list[dict[str, Any]]:
    random = Random(11)
    trades = ["Logistics", "Consulting", "Trading", "Systems", "Foods"]
    roads = [word(random, 3) for _ in range(30)]
    rows: list[dict[str, Any]] = []
    for i in range(160):
        core = word(random, 4)
        row = {
            "organisation_name": f"{core} {random.choice(trades)}",
            "street": f"{random.randrange(1, 900)} {random.choice(roads)} Street",
            "city": random.choice(roads[:8]),
            "phone": f"+1312{random.randrange(2000000, 9999999)}",
        }
        rows.append({**row, "source": "crm_accounts", "record_id": f"a{i:03}"})
        if i < 30:
            renamed = f"{row['organisation_name']} (Head Office)"
            rows.append({**row, "organisation_name": renamed, "source": "erp_x", "record_id": f"b{i:03}"})
        elif i < 60:
            rows.append(
                {
                    "organisation_name": row["organisation_name"],
                    "street": None,
                    "city": None,
                    "phone": None,
                    "source": "erp_x",
                    "record_id": f"b{i:03}",
                }
            )
        elif i < 90:
            typo = core[:3] + core[4:] + str(row["organisation_name"])[len(core) :]
            rows.append({**row, "organisation_name": typo, "source": "erp_x", "record_id": f"b{i:03}"})
        elif i < 120:
            # Another firm in the same house, behind the same switchboard.
            name = f"{word(random, 3)} {random.choice(trades)}"
            rows.append({**row, "organisation_name": name, "source": "erp_x", "record_id": f"x{i:03}"})
    return rows


@pytest.fixture(scope="module")
def firms() -> pl.DataFrame:
    return pl.DataFrame(_firms())


def test_firms_are_linked_and_neighbours_in_one_house_are_not(firms: pl.DataFrame, run: Run) -> None:
    truth = firms.select(
        CLUSTER_ID=pl.col("record_id").str.replace("^b", "a"), RECORD_ID="record_id", DATA_SOURCE="source"
    )
    accuracy = pairwise(run(firms, "organisation").members, truth)
    assert accuracy.precision > 0.97
    assert accuracy.recall > 0.97


def test_row_order_and_threads_change_nothing_for_organisations(firms: pl.DataFrame, run: Run) -> None:
    one, other = run(firms, "organisation"), run(firms.reverse(), "organisation", threads=1)
    assert one.model == other.model
    assert one.pairs.equals(other.pairs)


def test_a_pairs_score_does_not_depend_on_the_other_records(firms: pl.DataFrame, run: Run) -> None:
    whole = run(firms, "organisation")
    part = run(firms.filter(pl.col("record_id").str.slice(1) < "050"), "organisation", model=whole.model)
    keys = ["source_l", "record_id_l", "source_r", "record_id_r"]
    both = whole.pairs.join(part.pairs, on=keys, suffix="_part")
    assert both.height == part.pairs.height > 20
    assert both["match_weight"].equals(both["match_weight_part"])


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("Kestrel Marine", "Kestrel Marine Ltd.", "exact"),
        ("Kestrel Store 12", "Kestrel Store 14", "other_number"),
        ("Kestrel Marine Supplies", "Kestrel Marnie Supplies", "respelled"),
        ("Kestrel Marine Supplies", "Kestrel Marine", "one_in_other"),
        ("Kestrel Crossbill East", "Kestrel Crossbill West", "siblings"),
        ("Ibex Bauer Meister", "IBM", "acronym"),
        ("Kestrel Marine", "Olderman Foods", "other"),
    ],
)
def test_names_fall_into_their_level(run: Run, one: str, other: str, level: str) -> None:
    base = {
        "street": "12 Main Street",
        "city": "Riga",
        "phone": "+37167000000",
        "website_domain": "kestrel.example",
    }
    records = pl.DataFrame(
        [
            {**base, "organisation_name": name, "source": "crm_accounts", "record_id": str(i)}
            for i, name in enumerate((one, other))
        ]
    )
    pairs = run(records, "organisation", review_low=0.0000001, threshold=0.9).pairs
    assert json.loads(pairs["levels"][0])["organisation_name"].startswith(level)


def test_one_comparison_alone_does_not_break_training(run: Run) -> None:
    random = Random(5)
    names = [f"{word(random, 3)} {word(random, 3)}" for _ in range(150)] * 2
    records = pl.DataFrame(
        {
            "source": ["crm_accounts"] * 300,
            "record_id": [f"{i:03}" for i in range(300)],
            "organisation_name": names,
        }
    )
    assert run(records, "organisation").members["entity_id"].n_unique() == 150


def test_learned_numbers_are_drawn_to_the_defaults() -> None:
    learned: Numbers = {"name": {"same": (0.99, 0.001), "other": (0.01, 0.999)}}
    defaults: Numbers = {"name": {"same": (0.6, 0.01), "other": (0.4, 0.99)}}
    assert blended(learned, defaults, 1.0, 1.0) == learned
    half = blended(learned, defaults, 0.5, 0.5)["name"]
    assert 0.6 < half["same"][0] < 0.99
    assert 0.001 < half["same"][1] < 0.01
    assert sum(m for m, _ in half.values()) == pytest.approx(1)
    untrained = blended(learned, defaults, 0.0, 0.0)["name"]
    assert untrained["same"] == pytest.approx(defaults["name"]["same"])
