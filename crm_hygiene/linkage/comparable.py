"""Comparable columns: what linkage looks at, precomputed once per record.

Folding here serves comparing only and is never shown; standardising for display is
`crm_hygiene.standardise`'s work. Records are numbered in the order of (source, record_id), so no
result depends on the order in which rows arrive.
"""

from __future__ import annotations

import polars as pl

from crm_hygiene.key_order import in_key_order
from crm_hygiene.linkage.distinct_values import per_text, per_value
from crm_hygiene.linkage.nicknames import nickname_roots
from crm_hygiene.linkage.organisation_words import word_columns
from crm_hygiene.linkage.settings import EntityKind
from crm_hygiene.linkage.street_parts import street_columns
from crm_hygiene.standardise.text import latinised, plain_vowels, umlauts_alike

# Texts people type where a value is demanded. Longer ones are found by their fan-out.
PLACEHOLDERS = (
    "na", "none", "null", "nil", "unknown", "unbekannt", "inconnu", "test", "tbd", "tba", "notprovided",
    "notavailable", "notapplicable", "anonymous", "noname", "nolastname", "nofirstname", "xx", "xxx", "xxxx",
    "asdf", "dummy", "undefined",
)  # fmt: skip

# What stands in a name's place in a list of guests or peers, and is not one.
TITLES = (
    "mr", "mrs", "ms", "miss", "sir", "dame", "lady", "baronet", "bt", "bart", "dr", "prof", "professor",
    "rev", "reverend", "hon", "jr", "sr", "of", "the",
)  # fmt: skip

_KEY = ["source", "record_id"]
PERSON_INPUTS = (
    "given_name", "middle_name", "family_name", "full_name", "email", "email_normalised", "email_kind",
    "email_domain",
    "phone", "mobile_phone", "birth_date",
    "organisation_name", "organisation_name_normalised", "website_domain",
    "tax_id", "tax_id_stated",
    "street", "city", "region", "postal_code", "country_code", "occupation", "job_title", "external_id",
    "converted_person_record_id",
)  # fmt: skip
ORGANISATION_INPUTS = (
    "organisation_name", "organisation_name_normalised", "website_domain", "email", "email_domain", "phone",
    "street",
    "city", "postal_code", "country_code", "tax_id", "tax_id_stated", "iban", "external_id",
)  # fmt: skip


def read_columns(kind: EntityKind, available: list[str]) -> list[str]:
    """Of the `available` columns those that linkage reads, in their order."""
    inputs = PERSON_INPUTS if kind == "person" else ORGANISATION_INPUTS
    return [c for c in available if c in ("source", "record_id", "merged_record_ids", *inputs)]


def fold(column: pl.Expr, gap: str = "") -> pl.Expr:
    """Lower case, Latin letters where they can be, no accents nor punctuation; words joined by `gap`.

    Umlauts are alike however they are written (Müller, Mueller, Muller). Placeholders become null.
    """
    text = umlauts_alike(latinised(column))
    text = text.str.replace_all(r"['’`]", "").str.replace_all(r"[^\p{L}\p{M}\p{N}]+", gap)
    text = text.str.strip_chars(" ") if gap else text
    bare = text.str.replace_all(" ", "", literal=True) if gap else text
    return pl.when((bare != "") & ~bare.is_in(PLACEHOLDERS)).then(text)


def _is_latin(*columns: str) -> pl.Expr:
    """Whether folded texts are all in Latin letters or all in others; null where they have both, or none."""
    text = pl.concat_str(columns, ignore_nulls=True)
    is_latin, is_other = text.str.contains("[a-z]"), text.str.contains(r"[\p{L}--\p{Latin}]")
    return pl.when(is_latin != is_other).then(is_latin)


def _code(column: pl.Expr) -> pl.Expr:
    """A code for comparing: upper case letters and digits only, null when empty."""
    code = column.str.to_uppercase().str.replace_all(r"[^\p{L}\p{N}]+", "")
    return pl.when(code != "").then(code)


def sound_key(column: pl.Expr) -> pl.Expr:
    """A key that names alike in sound or letters share: first letter, then the other consonants, sorted.

    After the skeleton and omission keys of Pollock and Zamora (1984): blind to vowels, doubled and
    transposed letters; the commonest spellings of one sound are made one before. Expects folded text.
    """
    text = column.str.slice(0, 1) + column.str.slice(1).str.replace_all(r"gh|h", "").str.replace_all(
        r"[aeiouyw]", ""
    )
    for spelling, sound in (("ph", "f"), (r"ck|q|c", "k"), ("z", "s"), ("v", "f"), ("dt|th", "t")):
        text = text.str.replace_all(spelling, sound)
    rest = text.str.slice(1).str.split("").list.unique().list.sort().list.join("")
    return text.str.slice(0, 1) + rest


def _named(column: pl.Expr) -> pl.Expr:
    """A folded name; null where it is only a title or an ordinal (1st)."""
    return pl.when(~column.is_in(TITLES) & ~column.str.contains(r"^\d+(st|nd|rd|th)?$")).then(column)


def numbered(records: pl.DataFrame, inputs: tuple[str, ...]) -> pl.DataFrame:
    """Records by (source, record_id) with `unique_id` 0.. and every input column, null where absent."""
    missing = [pl.lit(None, dtype=pl.String).alias(c) for c in inputs if c not in records.columns]
    if "merged_record_ids" not in records.columns:
        missing.append(pl.lit(None, dtype=pl.List(pl.String)).alias("merged_record_ids"))
    rows = records.with_columns(missing).select(
        pl.col("source").cast(pl.String),
        pl.col("record_id").cast(pl.String),
        *(pl.col(c).cast(pl.String) for c in inputs),
        pl.col("merged_record_ids").cast(pl.List(pl.String)),
    )
    # Wide rows are copied where they have to be only.
    if rows.select(_KEY).hash_rows().n_unique() < rows.height:
        rows = rows.unique(_KEY, keep="any")
    return (
        in_key_order(rows, _KEY).with_row_index("unique_id").with_columns(pl.col("unique_id").cast(pl.Int64))
    )


def _spells_name(user: pl.Expr) -> pl.Expr:
    """Whether a mailbox name only spells the person's name: namesakes at two companies share it."""

    def spelled_by(parts: pl.Expr, name: pl.Expr) -> pl.Expr:
        letters = parts.str.replace_all(r"[^a-z]", "")
        return ((name.str.len_chars() >= 2) & letters.str.contains(name, literal=True)).fill_null(False)

    # Vowels are made plain before initials and names run together: a.erle would become arle.
    plain = plain_vowels(user)
    names = [pl.col("given"), pl.col("family")]
    spelled = [s for n in names for s in (spelled_by(user, n), spelled_by(plain, plain_vowels(n)))]
    # Whether a mailbox spells a name in other letters cannot be told, and most do.
    is_unread = ~_is_latin("given", "family").fill_null(True)
    # A single digit is the second of a name at one company; a longer number is somebody's own.
    return ~user.str.contains(r"\d\d") & pl.any_horizontal(*spelled, is_unread)


def _words_of(column: pl.Expr) -> pl.Expr:
    return fold(column, " ").str.split(" ")


def _people(rows: pl.DataFrame) -> pl.DataFrame:
    use_whole = pl.col("given_name").is_null() & pl.col("family_name").is_null()
    given_names = pl.concat_str("given_name", "middle_name", separator=" ", ignore_nulls=True)
    rows = rows.with_columns(
        whole=per_value(rows, pl.when(use_whole).then("full_name"), _words_of),
        first=per_value(rows, pl.col("given_name"), fold),
        last=per_value(rows, pl.col("family_name"), fold),
        given_words=per_value(rows, given_names, _words_of),
        birth=per_value(rows, pl.col("birth_date"), _code),
        organisation=per_value(rows, pl.coalesce("organisation_name_normalised", "organisation_name"), fold),
        road=per_value(rows, pl.col("street"), fold),
        town=per_value(rows, pl.col("city"), fold),
        postal=per_value(rows, pl.col("postal_code"), _code),
        work=per_value(rows, pl.coalesce("occupation", "job_title"), fold),
        region=per_value(rows, pl.col("region"), fold),
    )
    whole, several = pl.col("whole"), pl.col("whole").list.len() > 1
    mailbox = pl.when(pl.col("email_kind").is_null() | (pl.col("email_kind") != "role")).then(
        pl.coalesce("email_normalised", "email").str.to_lowercase()
    )
    mobile, landline = _code(pl.col("mobile_phone")), _code(pl.col("phone"))
    company_domain = pl.when(pl.col("email_kind").is_in(["person", "role"])).then(pl.col("email_domain"))
    # Lazy frames work out once what several of their columns need; others do so for each.
    frame = rows.lazy().with_columns(
        given=pl.when(use_whole & several).then(whole.list.first()).otherwise("first"),
        family=pl.when(use_whole & several)
        .then(whole.list.last())
        .when(use_whole)
        .then(whole.list.first())
        .otherwise("last"),
        mailbox=mailbox,
        phone_1=pl.coalesce(mobile, landline),
        phone_2=pl.when(mobile != landline).then(landline),
        domain=pl.coalesce("website_domain", company_domain).str.to_lowercase(),
        born=pl.col("birth_date").str.to_date("%Y-%m-%d", strict=False),
        tax=_code(pl.coalesce("tax_id", "tax_id_stated")),
    )
    user = pl.col("mailbox").str.split("@").list.first()
    return frame.select(
        "unique_id",
        "source",
        "record_id",
        _named(pl.col("given")).alias("given"),
        _named(pl.col("family")).alias("family"),
        pl.when(pl.col("given_words").list.len() > 1).then("given_words").alias("given_words"),
        "email_kind",
        pl.col("mailbox").alias("email"),
        pl.when((user.str.len_chars() >= 3) & ~_spells_name(user)).then(user).alias("email_user"),
        "phone_1",
        "phone_2",
        pl.col("birth").alias("birth_date"),
        # Days since 1970: how far two dates lie apart tells more than how many digits differ.
        pl.col("born").cast(pl.Int32).alias("birth_day"),
        "organisation",
        "domain",
        pl.col("tax").alias("tax_id"),
        pl.col("tax_id").is_not_null().alias("tax_is_verified"),
        _code(pl.col("external_id")).alias("external_id"),
        pl.col("road").alias("street"),
        pl.col("town").alias("city"),
        "postal",
        pl.col("work").alias("occupation"),
        "region",
        pl.col("country_code").alias("country"),
        _is_latin("given", "family").alias("name_is_latin"),
        _is_latin("organisation").alias("organisation_is_latin"),
        _is_latin("road", "town").alias("place_is_latin"),
    ).collect()


def _joined(words: pl.Expr) -> pl.Expr:
    """Folded words written together."""
    return words.str.replace_all(" ", "", literal=True)


def _organisations(rows: pl.DataFrame) -> pl.DataFrame:
    domain = pl.coalesce("website_domain", "email_domain").str.to_lowercase()
    names = pl.coalesce("organisation_name_normalised", "organisation_name")
    rows = rows.with_columns(
        words=per_value(rows, names, lambda column: fold(column, " ")),
        road=per_value(rows, pl.col("street"), lambda column: fold(column, " ")),
        city=per_value(rows, pl.col("city"), lambda column: fold(column, " ")),
    )
    name, city = pl.col("words"), pl.col("city")
    wide = per_text(rows, "road", street_columns).lazy()
    frame = wide.select(
        "unique_id",
        "source",
        "record_id",
        "words",
        _joined(name).alias("name"),
        domain.alias("domain"),
        fold(domain.str.split(".").list.first()).alias("domain_label"),
        pl.col("email").str.to_lowercase(),
        _code(pl.col("phone")).alias("phone_1"),
        "house_number",
        "street_name",
        "street_side",
        pl.concat_str("house_number", "street_name", separator=" ").alias("door"),
        _joined(pl.col("road")).alias("street"),
        _joined(city).alias("city"),
        city.str.split(" ").alias("city_words"),
        _code(pl.col("postal_code")).alias("postal"),
        pl.col("country_code").alias("country"),
        _code(pl.coalesce("tax_id", "tax_id_stated")).alias("tax_id"),
        pl.col("tax_id").is_not_null().alias("tax_is_verified"),
        _code(pl.col("iban")).alias("iban"),
        _is_latin("words").alias("name_is_latin"),
        _is_latin("road", "city").alias("place_is_latin"),
    ).collect()
    return per_text(frame, "words", word_columns)


def _sorted_pair(one: pl.Expr, other: pl.Expr, gap: str) -> pl.Expr:
    """Two texts in their order, whichever came first; the one there is, or null."""
    both = pl.concat_str(
        pl.min_horizontal(one, other), pl.max_horizontal(one, other), separator=gap, ignore_nulls=False
    )
    return pl.when(one.is_not_null() & other.is_not_null()).then(both).otherwise(pl.coalesce(one, other))


def comparable(kind: EntityKind, records: pl.DataFrame) -> pl.DataFrame:
    """One row per record with the columns that keys, blocking and comparisons use.

    Parameters
    ----------
    records
        conformed.people or conformed.organisations without deleted records; absent columns are null.

    Returns
    -------
    polars.DataFrame
        sorted by (source, record_id); `unique_id` (0..n-1), `source`, `record_id` and folded texts.
        For people `name_sort` and for organisations `name` tell whether two records bear one name.
    """
    if kind == "person":
        given, family = pl.col("given"), pl.col("family")
        return _people(numbered(records, PERSON_INPUTS)).with_columns(
            name_sort=_sorted_pair(given, family, " "),
            initials=_sorted_pair(given.str.slice(0, 1), family.str.slice(0, 1), ""),
        )
    frame = _organisations(numbered(records, ORGANISATION_INPUTS))
    return frame.with_columns(
        name_sort=pl.col("name"),
        initials=pl.col("name").str.slice(0, 3),
    )


def _with_given_roots(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `given_roots`: formal names of the given name and of each of several given or middle names."""
    # Records of one first name without others, which most are, have the same roots.
    named = pl.concat_str(
        pl.col("given").fill_null(""), pl.col("given_words").list.join(" ").fill_null(""), separator="\x1f"
    )
    frame = frame.with_columns(all_given=named)
    roots = _roots(frame.unique("all_given").select("all_given", "given", "given_words"))
    return frame.join(roots, on="all_given", how="left", maintain_order="left").drop(
        "given_words", "all_given"
    )


def _roots(names: pl.DataFrame) -> pl.DataFrame:
    """`all_given`, `given_roots` of the rows that have any."""
    words = pl.concat(
        [
            names.select("all_given", word="given").drop_nulls(),
            names.select("all_given", word="given_words")
            .drop_nulls()
            .explode("word")
            .filter(pl.col("word").str.len_chars() >= 3),
        ]
    )
    return (
        words.join(nickname_roots(), left_on="word", right_on="given", how="left")
        .select("all_given", root=pl.coalesce("given_roots", pl.concat_list("word")))
        .explode("root")
        .group_by("all_given")
        .agg(given_roots=pl.col("root").unique().sort())
    )


def with_block_columns(kind: EntityKind, frame: pl.DataFrame) -> pl.DataFrame:
    """Add the shortened and derived columns that only blocking and nickname levels need."""
    if kind == "person":
        both = pl.col("given").is_not_null() & pl.col("family").is_not_null()
        user = pl.col("email").str.split("@").list.first()
        return _with_given_roots(frame).with_columns(
            name_key=pl.when(both).then(pl.col("name_sort")),
            given_start=pl.col("given").str.slice(0, 3),
            family_start=pl.col("family").str.slice(0, 4),
            given_initial=pl.col("given").str.slice(0, 1),
            given_sound=per_value(frame, pl.col("given"), sound_key),
            family_sound=per_value(frame, pl.col("family"), sound_key),
            city_sound=per_value(frame, pl.col("city"), sound_key),
            email_letters=user.str.replace_all(r"[^a-z]", ""),
            email_start=pl.when(user.str.len_chars() >= 5).then(user.str.slice(0, 5)),
            birth_year=pl.col("birth_date").str.slice(0, 4),
            birth_month=pl.col("birth_date").str.slice(0, 6),
            postal_area=pl.col("postal").str.slice(0, 3),
        )
    return frame.with_columns(
        name_start=pl.col("name").str.slice(0, 5),
        name_end=pl.when(pl.col("name").str.len_chars() >= 6).then(pl.col("name").str.slice(-5)),
        street_start=pl.col("street").str.slice(0, 6),
    )
