"""Values that string functions of two engines might see differently."""

from __future__ import annotations

from random import Random
from typing import Any

import polars as pl

ALPHABETS = (
    "ab", "abc", "abcdefgh", "0123456789", "äöüß ab", "日本語кир", "e\u0301é", "😀😁a", "a\u0000b",
    "'\\%_\"@.", "İıſẞﬁ", "\u200b\u00ada", "אבגعرب",
)  # fmt: skip
LENGTHS = (0, 1, 1, 2, 3, 3, 4, 5, 6, 8, 9, 12, 13, 17, 30, 65, 130)


def text(random: Random) -> str:
    alphabet = random.choice(ALPHABETS)
    return "".join(random.choice(alphabet) for _ in range(random.choice(LENGTHS)))


def mistyped(random: Random, value: str) -> str:
    letters = list(value)
    for _ in range(random.randrange(4)):
        place = random.randrange(len(letters) + 1)
        match random.randrange(4):
            case 0:
                letters.insert(place, random.choice("abcé@1"))
            case 1 if letters:
                letters.pop(place % len(letters))
            case 2 if letters:
                letters[place % len(letters)] = random.choice("abcé@1")
            case 3 if letters:
                other = random.randrange(len(letters))
                place %= len(letters)
                letters[place], letters[other] = letters[other], letters[place]
    return "".join(letters)


def pair(random: Random) -> tuple[str, str]:
    left = text(random)
    return left, mistyped(random, left) if random.random() < 0.7 else text(random)


def value(random: Random, dtype: pl.DataType) -> Any:
    if random.random() < 0.08:
        return None
    if dtype == pl.String:
        return text(random)
    if dtype == pl.Boolean:
        return random.random() < 0.5
    if dtype.is_integer():
        return random.randrange(-5000, 20000)
    if dtype.is_float():
        return round(random.choice((0.0, 2.5, 9.0, 14.0, 16.0, random.random() * 40)), 3)
    if isinstance(dtype, pl.List):
        words = ["north", "south", "bakery", "bäckerei", "7", "", "a", "日本"]
        length = random.choice((0, 1, 2, 3, 5))
        if isinstance(dtype.inner, pl.Struct):
            return [
                {"word": random.choice(words), "bits": round(random.random() * 14, 3)} for _ in range(length)
            ]
        return [random.choice(words) for _ in range(length)]
    raise AssertionError(dtype)


def changed(random: Random, value_: Any, dtype: pl.DataType) -> Any:
    """What the other record of a pair might hold."""
    roll = random.random()
    if value_ is None or roll < 0.3:
        return value(random, dtype)
    if roll < 0.6:
        return value_
    if isinstance(value_, str):
        return mistyped(random, value_)
    if isinstance(value_, list):
        return random.sample(value_, random.randrange(len(value_) + 1))
    if isinstance(value_, bool):
        return not value_
    return value_ + random.choice((-3652, -365, -62, -3, 1, 62, 365))


def odd_pairs(schema: dict[str, pl.DataType], count: int, seed: int) -> pl.DataFrame:
    """`i` and of each column both sides, `<column>_l` and `<column>_r`."""
    random = Random(seed)
    sides: dict[str, list[Any]] = {f"{c}_{side}": [] for c in schema for side in "lr"}
    for _ in range(count):
        for column, dtype in schema.items():
            left = value(random, dtype)
            sides[f"{column}_l"].append(left)
            sides[f"{column}_r"].append(changed(random, left, dtype))
    types = {f"{c}_{side}": dtype for c, dtype in schema.items() for side in "lr"}
    return pl.DataFrame(sides, schema=types).with_row_index("i").with_columns(pl.col("i").cast(pl.Int64))
