"""The recipe's conditions in Spark's SQL.

`rules.yaml` is written in DuckDB's SQL. A condition is translated token by token: operators and names stay,
a function becomes the expression of Spark that gives the same for every value, null and odd text (tests
prove it on both engines). What is not known here is refused by name, never passed on: a function that only
bears the same name may count characters where the other counts bytes. The bounds of `pruning` are translated
the same way, in doubles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.connection import MACROS
from crm_hygiene.linkage.settings import Comparison

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r'|"(?P<quoted>\w+)"|(?P<sign><>|<=|>=|!=|\|\||[=<>+\-*(),.:&])|(?P<odd>\S))'
)
_KEYWORDS = frozenset(
    "and or not is null true false case when then else end distinct from in between".split()  # noqa: SIM905
)
_MACRO = re.compile(r"(\w+)\(([^)]*)\) AS (.*)", re.DOTALL)

# Names under which the session registers functions/*.java.
LEVENSHTEIN = "duckdb_levenshtein"
DAMERAU_LEVENSHTEIN = "duckdb_damerau_levenshtein"
JARO_WINKLER = "duckdb_jaro_winkler_similarity"

Translation = Callable[..., str]


class _UnknownError(Exception):
    """A part of a condition for which no equal expression is known."""


def _whole_number(text: str, least: int) -> str:
    if not text.isdigit() or int(text) < least:
        raise _UnknownError(f"{text} where a whole number from {least} up is expected")
    return text


def _by_bytes(function: str) -> Translation:
    return lambda a, b: f"{function}(CAST({a} AS BINARY), CAST({b} AS BINARY))"


def _left(text: str, count: str) -> str:
    if count.isdigit():
        return f"left({text}, {count})"
    # DuckDB: a negative count leaves that many out at the end; Spark gives nothing.
    return f"left({text}, CASE WHEN {count} < 0 THEN greatest(0, length({text}) + {count}) ELSE {count} END)"


def _split_part(text: str, delimiter: str, part: str) -> str:
    if not delimiter.startswith("'") or delimiter == "''":
        raise _UnknownError("split_part by what is no text of its own")
    return f"split_part({text}, {delimiter}, {_whole_number(part, 1)})"


# With a null among the elements Spark's answer to "not found" is null, DuckDB's is false.
def _any(a: str, b: str) -> str:
    return (
        f"CASE WHEN {a} IS NULL OR {b} IS NULL THEN NULL ELSE coalesce(arrays_overlap({a}, {b}), false) END"
    )


def _contains(values: str, value: str) -> str:
    return (
        f"CASE WHEN {values} IS NULL OR {value} IS NULL THEN NULL "
        f"ELSE coalesce(array_contains({values}, {value}), false) END"
    )


def _has_all(a: str, b: str) -> str:
    # Nulls asked for are passed over.
    return (
        f"CASE WHEN {a} IS NULL OR {b} IS NULL THEN NULL "
        f"ELSE size(array_except(array_compact({b}), {a})) = 0 END"
    )


def _sum(values: str) -> str:
    # In the order of the list, nothing for an empty one.
    return f"aggregate({values}, CAST(NULL AS DOUBLE), (total, v) -> coalesce(total + v, v, total))"


def _missing(marks: str, other: str) -> str:
    return f"bit_count({marks} & ~{other})"


def _may_be_near(marks: str, other: str, edits: str) -> str:
    return f"({_missing(marks, other)} <= {edits} AND {_missing(other, marks)} <= {edits})"


def _jaro_winkler_bound(n: str, marks: str, other_n: str, other: str, is_one_start: str) -> str:
    # `letter_marks.MACROS` with each part written once: Spark puts arguments in where they are named. Of an
    # empty text it is null, DuckDB's no number; neither is alike to anything.
    paired = f"least({n} - {_missing(marks, other)}, {other_n} - {_missing(other, marks)})"
    shares = f"(try_divide({paired} * ({n} + {other_n}), {n} * {other_n}) + 1)"
    return (
        f"(CASE WHEN {is_one_start} THEN 0.6D ELSE 1D END / 3 * {shares} "
        f"+ CASE WHEN {is_one_start} THEN 0.4D ELSE 0D END)"
    )


def _same(function: str) -> Translation:
    return lambda *arguments: f"{function}({', '.join(arguments)})"


FUNCTIONS: dict[str, Translation] = {
    "abs": _same("abs"),
    "coalesce": _same("coalesce"),
    "least": _same("least"),
    "greatest": _same("greatest"),
    "length": _same("length"),
    "left": _left,
    "substr": lambda text, start, count: (
        f"substr({text}, {_whole_number(start, 1)}, {_whole_number(count, 0)})"
    ),
    "split_part": _split_part,
    "contains": _same("contains"),
    "starts_with": _same("startswith"),
    "levenshtein": _by_bytes(LEVENSHTEIN),
    "damerau_levenshtein": _by_bytes(DAMERAU_LEVENSHTEIN),
    "jaro_winkler_similarity": _by_bytes(JARO_WINKLER),
    "list_has_any": _any,
    "list_has_all": _has_all,
    "list_contains": _contains,
    "list_filter": _same("filter"),
    "list_transform": _same("transform"),
    "list_sum": _sum,
    "array_to_string": _same("array_join"),
    "missing_letters": _missing,
    "may_be_near": _may_be_near,
    "jaro_winkler_bound": _jaro_winkler_bound,
}


def _macros() -> dict[str, tuple[list[str], str]]:
    found = {}
    for text in MACROS:
        match = _MACRO.fullmatch(text)
        assert match is not None, text
        name, parameters, body = match.groups()
        found[name] = ([p.strip() for p in parameters.split(",")], body)
    return found


class _Translator:
    """One condition: its tokens and how far they are read."""

    def __init__(self, sql: str, given: dict[str, str], fractions: str = "") -> None:
        self.tokens = [(m.lastgroup or "", m[m.lastgroup or 0]) for m in _TOKEN.finditer(sql.rstrip())]
        self.given = given
        self.fractions = fractions
        self.at = 0

    def _peek(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.tokens[place][1] if place < len(self.tokens) else ""

    def expression(self, ends: tuple[str, ...] = ()) -> str:
        """Translate up to one of `ends`, which is left unread, or to the end."""
        words: list[str] = []
        while self.at < len(self.tokens) and self._peek() not in ends:
            words.append(self._next())
        if ends and self.at == len(self.tokens):
            raise _UnknownError("brackets that do not match")
        return " ".join(words)

    def _next(self) -> str:
        kind, token = self.tokens[self.at]
        self.at += 1
        if kind == "text":
            inside = token[1:-1].replace("''", "'").replace("\\", "\\\\").replace("'", "\\'")
            return f"'{inside}'"
        if kind == "name":
            return self._named(token)
        if kind == "quoted":
            return f"`{token}`"
        if kind == "number" and not token.isdigit():
            return f"{token}{self.fractions}"
        if token == "(":
            inside = self.expression((")",))
            self.at += 1
            return f"({inside})"
        if kind == "odd" or token in (".", ":", ")", ","):
            raise _UnknownError(token)
        return token

    def _named(self, name: str) -> str:
        if name.lower() == "lambda" and self._peek(1) == ":":
            variable = self._peek()
            self.at += 2
            outer = self.given
            self.given = {**outer, variable: variable}
            body = self.expression((",", ")"))
            self.given = outer
            return f"{variable} -> {body}"
        if name.lower() in _KEYWORDS:
            return name
        if self._peek() == "(":
            return self._call(name.lower())
        value = self.given.get(name, name)
        while self._peek() == ".":
            value += f".{self._peek(1)}"
            self.at += 2
        return value

    def _call(self, name: str) -> str:
        arguments = []
        while self._peek() != ")":
            self.at += 1
            arguments.append(self.expression((",", ")")))
        self.at += 1
        if name in _MACRO_BODIES:
            parameters, body = _MACRO_BODIES[name]
            given = {p: f"({a})" for p, a in zip(parameters, arguments, strict=True)}
            return f"({_Translator(body, given, self.fractions).expression()})"
        if name not in FUNCTIONS:
            raise _UnknownError(f"function {name}")
        try:
            return FUNCTIONS[name](*arguments)
        except TypeError:
            raise _UnknownError(f"function {name} with {len(arguments)} arguments") from None


_MACRO_BODIES = _macros()


def _translated(sql: str, fractions: str) -> str:
    try:
        return _Translator(sql, {}, fractions).expression()
    except _UnknownError as unknown:
        raise ConfigurationError(
            f"no equal on Spark is known for {unknown} in {sql!r}; known are "
            f"{', '.join(sorted({*FUNCTIONS, *_MACRO_BODIES}))}"
        ) from None


def spark_condition(sql: str) -> str:
    """A condition of the recipe in Spark's SQL.

    Raises
    ------
    ConfigurationError
        if it holds something of which no equal is known; the message names it.
    """
    return _translated(sql, fractions="")


def spark_bound(sql: str) -> str:
    """A bound on pairs (`pruning.Bound.total`) in Spark's SQL.

    Fractions are doubles: as decimals each sum would be rounded anew, to fewer places.

    Raises
    ------
    ConfigurationError
        as of `spark_condition`.
    """
    return _translated(sql, fractions="D")


def spark_comparisons(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with their conditions in Spark's SQL.

    Raises
    ------
    ConfigurationError
        as of `spark_condition`, with comparison and level.
    """
    translated = []
    for comparison in comparisons:
        levels = []
        for level in comparison.levels:
            try:
                levels.append(level.model_copy(update={"when": spark_condition(level.when)}))
            except ConfigurationError as error:
                raise ConfigurationError(
                    f"linkage rules: comparison '{comparison.name}', level '{level.name}': {error}"
                ) from None
        translated.append(comparison.model_copy(update={"levels": tuple(levels)}))
    return translated
