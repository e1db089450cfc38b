"""The public data sets: which files land, which mappings read them, and what is true.

The truth never lands in a column that linkage reads: mappings ignore it, and it is read here from
the original files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from crm_hygiene.expression import parse_expression
from crm_hygiene.linkage import EntityKind

SOURCES = Path(__file__).parent / "sources"


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes
    ----------
    files
        original file, below the data folder -> where it lands; a Parquet file lands as the same
        rows in CSV.
    sources
        mappings of `sources/` in use.
    truth
        from the data folder: `CLUSTER_ID`, `RECORD_ID`, `DATA_SOURCE`, one row per record.
    bar
        pairwise F1 that is asked for, or None where nothing is.
    note
        what a reader of the figures should know about the labels.
    """

    name: str
    kind: EntityKind
    files: dict[str, str]
    sources: tuple[str, ...]
    truth: Callable[[Path], pl.DataFrame]
    bar: float | None = None
    note: str = ""

    def missing(self, data: Path) -> list[str]:
        """Original files that are not below `data`."""
        return [name for name in self.files if not (data / name).is_file()]

    def land(self, data: Path, landing: Path) -> None:
        """Put the files where exports arrive, byte for byte where they are CSV."""
        for original, target in self.files.items():
            path = landing / target
            path.parent.mkdir(parents=True, exist_ok=True)
            if original.endswith(".parquet"):
                pl.read_parquet(data / original).write_csv(path)
            else:
                path.write_bytes((data / original).read_bytes())


def text_rows(path: Path) -> pl.DataFrame:
    """All cells as trimmed text, empty ones null; blanks around column names are taken off."""
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    trimmed = pl.all().cast(pl.String).str.strip_chars()
    return frame.rename(str.strip).select(trimmed).with_columns(pl.when(pl.all() != "").then(pl.all()))


def _truth(rows: pl.DataFrame, source: str, record: str, cluster: pl.Expr) -> pl.DataFrame:
    return rows.select(
        CLUSTER_ID=cluster.cast(pl.String), RECORD_ID=pl.col(record), DATA_SOURCE=pl.lit(source)
    )


def _labelled(path: str, source: str, record: str, cluster: str) -> Callable[[Path], pl.DataFrame]:
    """The truth of one file with a column of labels."""
    return lambda data: _truth(text_rows(data / path), source, record, pl.col(cluster))


def _febrl(*halves: tuple[str, str]) -> Callable[[Path], pl.DataFrame]:
    """FEBRL writes the true person into the id: rec-12-org, rec-12-dup-0."""
    person = pl.col("rec_id").str.extract(r"^rec-([0-9]+)-")
    return lambda data: pl.concat(
        _truth(text_rows(data / "febrl" / file), source, "rec_id", person) for file, source in halves
    )


def _fake_link(data: Path) -> pl.DataFrame:
    folder = data / "splink_fake_link"
    return pl.concat(
        _truth(
            text_rows(folder / f"fake_df_{side[0]}.parquet"),
            f"fake_people_{side}",
            "unique_id",
            pl.col("group"),
        )
        for side in ("left", "right")
    )


def _restaurants(data: Path) -> pl.DataFrame:
    folder = data / "restaurants_fodors_zagats"
    links = text_rows(folder / "match_fodors_zagats_more_attrs.csv").select("fodors_id", "zagats_id")
    fodors = text_rows(folder / "fodors.csv")
    zagats = text_rows(folder / "zagats.csv").join(links, left_on="id", right_on="zagats_id", how="left")
    own = pl.format("zagats {}", "id")
    return pl.concat(
        [
            _truth(fodors, "fodors", "id", pl.format("fodors {}", "id")),
            _truth(
                zagats,
                "zagats",
                "id",
                pl.when(pl.col("fodors_id").is_null())
                .then(own)
                .otherwise(pl.format("fodors {}", "fodors_id")),
            ),
        ]
    )


def _dnb(data: Path) -> pl.DataFrame:
    record = parse_expression({"hash": ["company_name", "country"]}).to_polars()
    return pl.concat(
        _truth(
            # Row n of one file is row n of the other, whatever the numbers in front say.
            text_rows(data / "dnb_name_matching" / f"{file}.csv")
            .with_row_index("row")
            .with_columns(record=record),
            f"dnb_{file}",
            "record",
            pl.col("row"),
        )
        for file in ("test_names", "adjusted_test_names")
    )


def _one(folder: str, file: str, landed: str = "") -> dict[str, str]:
    return {f"{folder}/{file}": landed or file}


DATA_SETS: tuple[DataSet, ...] = (
    *(
        DataSet(
            f"febrl{n}", "person",
            _one("febrl", f"dataset{n}.csv", f"febrl/dataset{n}.csv"), ("febrl",),
            _febrl((f"dataset{n}.csv", "febrl")), bar,
        )
        for n, bar in ((1, None), (2, None), (3, 0.99))
    ),
    DataSet(
        "febrl4", "person",
        {f"febrl/dataset4{s}.csv": f"febrl/dataset4{s}.csv" for s in "ab"}, ("febrl4a", "febrl4b"),
        _febrl(("dataset4a.csv", "febrl4a"), ("dataset4b.csv", "febrl4b")), 0.999,
    ),
    DataSet(
        "historical_50k", "person",
        _one("splink_historical_50k", "historical_figures_with_errors_50k.parquet", "historical_figures.csv"),
        ("historical_figures",),
        _labelled(
            "splink_historical_50k/historical_figures_with_errors_50k.parquet",
            "historical_figures", "unique_id", "cluster",
        ),
        0.85,
    ),
    DataSet(
        "fake_1000", "person", _one("splink_fake_1000", "fake_1000.csv"), ("fake_people",),
        _labelled("splink_fake_1000/fake_1000.csv", "fake_people", "unique_id", "cluster"), 0.88,
    ),
    DataSet(
        "fake_20000", "person", _one("splink_fake_20000", "fake_20000.csv"), ("fake_people",),
        _labelled("splink_fake_20000/fake_20000.csv", "fake_people", "unique_id", "group"), 0.93,
    ),
    DataSet(
        "fake_link", "person",
        {f"splink_fake_link/fake_df_{s}.parquet": f"fake_df_{s}.csv" for s in "lr"},
        ("fake_people_left", "fake_people_right"), _fake_link,
    ),
    DataSet(
        "early_childhood", "organisation",
        _one("dedupe_early_childhood", "csv_example_messy_input.csv"), ("early_childhood",),
        _labelled(
            "dedupe_early_childhood/csv_example_input_with_true_ids.csv", "early_childhood", "Id", "True Id"
        ),
        0.85,
    ),
    DataSet(
        "restaurants", "organisation",
        {f"restaurants_fodors_zagats/{s}.csv": f"{s}.csv" for s in ("fodors", "zagats")},
        ("fodors", "zagats"), _restaurants, 0.98,
    ),
    DataSet(
        "leipzig_affiliations", "organisation",
        _one("leipzig_affiliations", "affiliations.csv"), ("affiliations",),
        _labelled("leipzig_affiliations/affiliations.csv", "affiliations", "record_id", "label_true"),
        note="labels are noisy, and departments count as their university",
    ),
    DataSet(
        "dnb_names", "organisation",
        {f"dnb_name_matching/{s}.csv": f"{s}.csv" for s in ("test_names", "adjusted_test_names")},
        ("dnb_test_names", "dnb_adjusted_test_names"), _dnb,
        note="names and countries only, spoiled by a program",
    ),
)  # fmt: skip
