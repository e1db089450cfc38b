"""Words of organisation names: one spelling per word, and how much each word says.

A word that many organisations bear says little (Fellegi and Sunter's u, as the inverse document
frequency of Spärck Jones, 1972). Frequencies are counted over distinct names, so that a name recorded
many times does not make its words common, and are frozen in the model: a pair's score depends on its two
records and the model alone.
"""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from crm_hygiene.linkage.settings import EntityKind


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that carry no meaning of their own.
FILLERS = _words(
    "a an and as at by for from in into of on or the to with "
    "der die das und von vom zu zum zur fur im am "
    "de del della dello di da do dos das du des la le les l d el los las y e et en al "
    "van het een te op ten ter og och i w"
)

# Legal forms as words: for comparing they are left out wherever they stand (the standardised name has lost
# those at its end only).
LEGAL_WORDS = _words(
    "company corporation incorporated limited liability joint stock open public "
    "ag gmbh mbh kg kgaa ohg ug se ev sa sas sarl sl srl spa bv nv oy oyj ab asa aps plc llc llp lp ltda lda "
    "jsc ojsc pjsc cjsc ooo oao zao pao ao kk pty pte sdn bhd kft zrt doo dd sro spol aktiengesellschaft "
    "gesellschaft beschrankter haftung ood eood ead dool tov prat"
)

# Usual abbreviations and second spellings -> the word they stand for.
NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SPELLINGS: dict[str, str] = {
    short: word
    for word, shorts in {
        "academy": "acad",
        "administration": "admin",
        "advisors": "advisers",
        "america": "amer",
        "association": "assn assoc asso ass",
        "associates": "assocs",
        "brothers": "bros gebr gebruder",
        "building": "bldg",
        "cafe": "caffe",
        "center": "centre ctr cntr cntrs centers centres",
        "chemical": "chem",
        "communications": "comms",
        "community": "comm cmty comty",
        "company": "co coy",
        "construction": "constr",
        "corporation": "corp",
        "council": "cncl",
        "county": "cnty",
        "deli": "delicatessen",
        "department": "dept dep dpt depart",
        "development": "dev devel dvlpt dvpt",
        "distribution": "distr distrib",
        "division": "div",
        "education": "educ",
        "electric": "elec",
        "elementary": "elem",
        "engineering": "eng engg engrg",
        "enterprise": "enterprises",
        "equipment": "equip",
        "foundation": "fdn",
        "fort": "ft",
        "general": "genl",
        "government": "govt gov",
        "group": "grp",
        "hospital": "hosp",
        "incorporated": "inc",
        "industries": "ind inds",
        "institute": "inst instit",
        "insurance": "ins",
        "international": "intl int internat",
        "junior": "jr",
        "kindergarten": "kindergarden",
        "labor": "labour",
        "laboratory": "lab labs laboratories",
        "library": "lib",
        "limited": "ltd",
        "management": "mgmt mgt mngmt",
        "manufacturing": "mfg manuf",
        "medical": "med",
        "ministry": "min",
        "mount": "mt",
        "national": "natl nat",
        "north": "no nth",
        "northern": "northn",
        "organization": "organisation org",
        "partners": "ptnrs",
        "products": "prod prods",
        "program": "programme",
        "properties": "props",
        "railway": "rlwy rly",
        "research": "res rsch",
        "restaurant": "rest ristorante restaurante",
        "saint": "st ste sankt",
        "school": "sch schl",
        "science": "sci sciences",
        "senior": "sr",
        "service": "services svc svcs serv srvcs",
        "sister": "sr",
        "society": "soc",
        "solution": "solutions soln solns",
        "south": "sth",
        "state": "stat",
        "steakhouse": "steakhouses",
        "systems": "sys syst system",
        "technical": "tech",
        "technology": "technologies technol",
        "theater": "theatre",
        "transport": "transp transportation",
        "university": "univ uni universitat universite universidad universita",
        "wholesale": "whsle",
        **{word: str(number) for number, word in enumerate(NUMBER_WORDS, 1)},
        "first": "1st",
        "second": "2nd",
        "third": "3rd",
    }.items()
    for short in shorts.split()
}

# Words so usual in names of organisations that they say little before any data has been seen: the share of
# names that bear one, roughly.
USUAL_SHARE = 0.02
USUAL = _words(
    "academy advisors agency association associates bank bar bau bistro brothers business cafe capital care "
    "center central child children city clinic club college communications community company construction "
    "consulting corporation department design development digital distribution education electric "
    "electronics energy engineering enterprise equipment europe finance financial first food foods "
    "foundation general global gmbh government grill group hall handel health high holding holdings home "
    "hospital hotel house incorporated industrial industries information institute insurance international "
    "investment investments kitchen laboratory labs law limited logistics logistik management manufacturing "
    "market marketing media medical metal motor motors national network networks new north office oil "
    "organization partners pharma power products program project properties public real research resources "
    "restaurant retail royal saint school science securities security service shop society software solution "
    "south state steel store studio supply systems team technical technology telecom trade trading transport "
    "travel trust union united university water west east works world"
)
# How many names the assumption about usual words weighs as much as.
ASSUMED_NAMES = 1000
# A word seen in one name only will be met again less often than once per that many names (absolute
# discounting of Ney, Essen and Kneser, 1994).
DISCOUNT = 0.5
MOST_BITS = 14.0
# A record's own city within its name tells no more than the city does.
PLACE_BITS = 1.0
# Shorter words block nothing.
LEAST_BLOCK_LETTERS = 3
# Roman numerals that are no words or initials.
ROMAN = _words("ii iii iv vi vii viii ix xi xii xiii xiv xv")


def spelled(word: pl.Expr) -> pl.Expr:
    """The one spelling of a folded word."""
    return word.replace(SPELLINGS)


def word_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the columns about the words of `words` (folded, with blanks between).

    Returns
    -------
    polars.DataFrame
        the rows with `word_list` (its different words in one spelling, fillers left out unless there is
        nothing else), `name_key` (the same sorted, as text), `word_numbers` (the numbers among them,
        null without), `acronym` (first letters of three or more words), `short_name` (the acronym, or
        a name that could be one) and `own_name` (`name_key` of a name that is seldom given twice: more
        words than one, and not usual ones only).
    """
    listed = (
        rows.select("unique_id", word=pl.col("words").str.split(" "))
        .explode("word")
        .filter(pl.col("word").is_not_null() & (pl.col("word") != ""))
        .with_columns(place=pl.int_range(pl.len()).over("unique_id"), word=spelled(pl.col("word")))
        .with_columns(is_filler=pl.col("word").is_in([*FILLERS, *LEGAL_WORDS]))
        .filter(~pl.col("is_filler") | pl.col("is_filler").all().over("unique_id"))
    )
    is_telling = ~pl.col("word").is_in(list(USUAL)) & (pl.col("word").str.len_chars() >= 4)
    is_number = (
        pl.col("word").str.contains(r"^\d+[a-z]?$")
        | pl.col("word").is_in(list(NUMBER_WORDS))
        | (pl.col("word").is_in(list(ROMAN)) & (pl.col("place") > 0))
    )
    grouped = (
        listed.sort("unique_id", "place")
        .group_by("unique_id", maintain_order=True)
        .agg(
            word_list=pl.col("word").unique(maintain_order=True),
            telling=is_telling.sum(),
            word_numbers=pl.col("word").filter(is_number).unique().sort(),
            acronym=pl.when(pl.len() >= 3).then(pl.col("word").str.slice(0, 1).str.join("")),
        )
        .with_columns(
            name_key=pl.col("word_list").list.sort().list.join(" "),
            word_numbers=pl.when(pl.col("word_numbers").list.len() > 0).then("word_numbers"),
        )
        .with_columns(
            own_name=pl.when((pl.col("telling") > 0) & (pl.col("word_list").list.len() > 1)).then("name_key")
        )
        .with_columns(
            short_name=pl.coalesce(
                "acronym", pl.when(pl.col("name_key").str.contains(r"^\p{L}{3,6}$")).then("name_key")
            )
        )
        .drop("telling")
    )
    return rows.join(grouped, on="unique_id", how="left", maintain_order="left")


def word_frequencies(frame: pl.DataFrame, most_words: int) -> dict[str, Any]:
    """In how many different names each word is.

    Returns
    -------
    dict
        {"names": different names, "values": {word: names that bear it}}, words of one name left out.
    """
    names = frame.select("name_key", "word_list").drop_nulls().unique("name_key")
    counted = (
        names.select(word="word_list")
        .explode("word")
        .group_by("word")
        .len()
        .filter(pl.col("len") > 1)
        .sort(["len", "word"], descending=[True, False])
        .head(most_words)
    )
    return {"names": names.height, "values": dict(sorted(counted.iter_rows()))}


def bits_of(word: str, frequencies: dict[str, Any]) -> float:
    """How much a shared word says: -log2 of the share of other names that bear it, at most MOST_BITS."""
    total = frequencies["names"] + ASSUMED_NAMES
    assumed = ASSUMED_NAMES * USUAL_SHARE if word in USUAL else 0.0
    seen = frequencies["values"].get(word, 1) - DISCOUNT + assumed
    # A short word or number is met by chance more often than its frequency tells.
    most = min(MOST_BITS, 3.5 * len(word))
    return round(min(most, math.log2(total / seen)), 3)


def with_word_bits(frame: pl.DataFrame, frequencies: dict[str, Any] | None) -> pl.DataFrame:
    """Add what a model's word frequencies tell of each name.

    Parameters
    ----------
    frequencies
        as `word_frequencies` gives them; None, for a model that has none, assumes the usual words only.

    Returns
    -------
    polars.DataFrame
        the frame with `word_bits` (word and its bits, a list of structs), `name_bits` (their sum), and for
        blocking `rare_word` and `rare_word_2`, the two rarest words that several names bear, and
        `new_word`, the longest that none or one did when the model was trained.
    """
    known = frequencies or {"names": 1000, "values": {}}
    long = (
        frame.select("unique_id", "city_words", word="word_list")
        .explode("word")
        .filter(pl.col("word").is_not_null())
    )
    words = long.select(pl.col("word").unique().sort())
    listed = words["word"].to_list()
    words = words.with_columns(
        bits=pl.Series([bits_of(word, known) for word in listed], dtype=pl.Float64),
        seen=pl.Series([known["values"].get(word, 0) for word in listed], dtype=pl.Int64),
    )
    long = long.join(words, on="word", how="left", maintain_order="left").with_columns(
        bits=pl.when(pl.col("city_words").list.contains(pl.col("word")))
        .then(pl.min_horizontal("bits", pl.lit(PLACE_BITS)))
        .otherwise("bits")
    )
    weighed = long.group_by("unique_id", maintain_order=True).agg(
        word_bits=pl.struct("word", "bits"), name_bits=pl.col("bits").sum().round(3)
    )
    telling = pl.col("word").str.len_chars() >= LEAST_BLOCK_LETTERS
    rare = (
        long.filter(telling & (pl.col("seen") > 1))
        .sort("unique_id", "seen", "word")
        .group_by("unique_id", maintain_order=True)
        .agg(rare_word=pl.col("word").first(), rare_word_2=pl.col("word").get(1, null_on_oob=True))
    )
    new = (
        long.filter(telling & (pl.col("seen") < 2))
        .sort("unique_id", pl.col("word").str.len_chars(), "word", descending=[False, True, False])
        .group_by("unique_id", maintain_order=True)
        .agg(new_word=pl.col("word").first())
    )
    for part in (weighed, rare, new):
        frame = frame.join(part, on="unique_id", how="left", maintain_order="left")
    return frame


def with_model_words(kind: EntityKind, frame: pl.DataFrame, content: dict[str, Any]) -> pl.DataFrame:
    """`with_word_bits` by the words a model's content has, for organisations; people are left as they are."""
    return with_word_bits(frame, content.get("words")) if kind == "organisation" else frame
