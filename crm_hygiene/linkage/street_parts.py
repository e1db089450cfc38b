"""Parts of a street address for comparing: its house number and what names the street.

Whatever is written differently by habit (kinds of street, points of the compass, floors, the crossing
street) is left out of the name; how a street is shown is not touched.
"""

from __future__ import annotations

import polars as pl

# Kinds of street, in full and as abbreviated; as whole words, folded (straat is strat).
KINDS = (
    "street", "st", "str", "streets", "strasse", "avenue", "ave", "av", "aven", "boulevard", "blvd",
    "blv", "bvd", "bd", "bl", "road", "rd", "drive", "dr", "drv", "lane", "ln", "court", "ct", "place",
    "pl", "plaza", "plz", "square", "sq", "terrace", "ter", "way", "wy", "highway", "hwy", "parkway",
    "pkwy", "pkway", "expressway", "circle", "cir", "alley", "trail", "trl", "pike", "route", "rte",
    "rue", "calle", "c", "via", "viale", "corso", "piazza", "rua", "avenida", "avda", "ul", "ulica",
    "chaussee", "allee", "weg", "platz", "lan", "strat", "steenweg", "jl",
    # As Cyrillic and Greek ones are written in Latin letters.
    "ulitsa", "vul", "vulitsya", "vulytsya", "vulytsia", "bul", "bulvar", "bulevard", "prospekt", "prosp",
    "pereulok", "provulok", "ploshchad", "ploshcha", "naberezhnaya", "shosse", "odos", "leoforos", "leof",
    "plateia",
)  # fmt: skip
COMPASS = (
    "n", "s", "e", "w", "ne", "nw", "se", "sw", "north", "south", "east", "west", "northeast",
    "northwest", "southeast", "southwest", "no", "so",
)  # fmt: skip
# From here on the text says where in the house, or which street crosses.
INSIDE = (
    r"\b(suite|ste|unit|apt|apartment|floor|fl|flr|room|rm|bldg|building|level|lvl|shop|box|postbox|pob|"
    r"stock|etage|off|near|opposite|at|between|bet|btw|corner|cnr|crossing|lower|upper|"
    r"\d+(st|nd|rd|th) (floor|fl)|first floor|second floor|third floor|ground floor)\b.*$"
)
# German and Dutch write the kind onto the name.
JOINED_KINDS = r"(strasse|straße|str|strat)$"
ORDINALS = {
    "first": "1", "second": "2", "third": "3", "fourth": "4", "fifth": "5", "sixth": "6", "seventh": "7",
    "eighth": "8", "ninth": "9", "tenth": "10", "eleventh": "11", "twelfth": "12",
}  # fmt: skip


def street_columns(folded: pl.DataFrame) -> pl.DataFrame:
    """Add `house_number`, `street_name` and `street_side` to rows of `unique_id` and `road` (folded).

    The house number is the number the text begins with, otherwise the last number in it. `street_name`
    is what is left of the name without numbers, kinds and points of the compass, joined; numbered
    streets keep their number. `street_side` is the first point of the compass, its first letter.
    """
    main = pl.col("road").str.replace(rf"(.){INSIDE}", "$1").str.strip_chars(" ")
    leading = main.str.extract(r"^(\d+)")
    rows = folded.with_columns(_main=main, _leading=leading)
    begins = pl.col("_leading").is_not_null()
    last = pl.col("_main").str.extract(r"^\D.*?\b(\d+) ?[a-z]?(?: \d+)?$")
    rest = (
        pl.when(begins)
        .then(pl.col("_main").str.replace(r"^\d+ ?(?:\d+ )?(?:[a-df-mo-rt-vx-z] )?", ""))
        .otherwise(pl.col("_main").str.replace(r"\b\d+ ?[a-z]?(?: \d+)?$", ""))
    )
    names = (
        rows.select("unique_id", word=rest.str.split(" "))
        .explode("word")
        .filter(pl.col("word").is_not_null() & (pl.col("word") != ""))
        .with_columns(
            named=pl.col("word")
            .str.replace(r"^(\d+)(st|nd|rd|th)$", "$1")
            .replace(ORDINALS)
            .str.replace(JOINED_KINDS, "")
        )
        .with_columns(named=pl.when(pl.col("named") != "").then("named").otherwise("word"))
        .with_columns(is_plain=pl.col("word").is_in([*KINDS, *COMPASS]))
        .filter(~pl.col("is_plain") | pl.col("is_plain").all().over("unique_id"))
        .group_by("unique_id", maintain_order=True)
        .agg(street_name=pl.col("named").str.join(" "))
    )
    return (
        rows.with_columns(
            house_number=pl.when(begins).then("_leading").otherwise(last),
            street_side=pl.col("_main").str.extract(rf"\b({'|'.join(COMPASS)})\b").str.slice(0, 1),
        )
        .join(names, on="unique_id", how="left", maintain_order="left")
        .drop("_main", "_leading")
    )
