"""The report as one HTML page: no script, no network, the same bytes for the same lake.

`<lake>/report/index.html`, or beside hygiene.yaml where the lake is an object store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_hygiene.cash.money import grouped
from crm_hygiene.explanation.chart_page import write_page
from crm_hygiene.explanation.charts import charts_folder
from crm_hygiene.linkage.records import NOUNS
from crm_hygiene.night import Night
from crm_hygiene.quality.metric import in_words
from crm_hygiene.report.charts import line_chart
from crm_hygiene.report.figures import ReportData, gather
from crm_hygiene.report.markup import Markup, code, measured, signed, table, text, tile

_STYLE = Path(__file__).with_name("style.css")
_SECTIONS = (
    ("glance", "At a glance"),
    ("trends", "Trends"),
    ("changed", "What changed"),
    ("cash", "Cash"),
    ("sources", "Sources"),
    ("fields", "Fields"),
    ("queues", "Queues"),
    ("more", "Look closer"),
)

_QUESTION_KINDS = {
    "doubtful": "may be the same",
    "conflict": "evidence against each other",
    "suspect": "cluster held back",
}


@dataclass(frozen=True)
class Report:
    """The page on disk: its path, bytes, and whether it changed."""

    path: Path
    byte_count: int
    is_new: bool


def report_path(night: Night) -> Path:
    """Where the report is: beside the charts."""
    return charts_folder(night).parent / "report" / "index.html"


def write_report(night: Night) -> Report:
    """Write the report of the lake as it is, unless the page there is the same.

    Raises
    ------
    LakeError
        if the lake cannot be read.
    OSError
        if the page cannot be written.
    """
    path = report_path(night)
    charts = {
        f"{NOUNS[kind][1]}": f"../charts/{kind}/index.html"
        for kind in NOUNS
        if (charts_folder(night) / kind / "index.html").is_file()
    }
    page = page_of(gather(night.lake), charts)
    old = path.read_bytes() if path.is_file() else None
    if old == page.encode():
        return Report(path, len(old), False)
    return Report(path, write_page(path, page), True)


def page_of(data: ReportData, charts: dict[str, str]) -> str:
    """The page. `charts` are links to pages of charts by what they show."""
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in _SECTIONS)
    sections = "".join(
        (
            _glance(data),
            _trends(data),
            _changed(data),
            _cash(data),
            _sources(data),
            _fields(data),
            _queues(data),
            _more(charts),
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Data quality · {_title_date(data)}</title>\n"
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f'<header class="top">\n<h1>The night of {_title_date(data)}</h1>\n{_state(data)}\n'
        f'<nav aria-label="Sections">{links}</nav>\n</header>\n<main>\n{sections}</main>\n'
        "<footer>Made by crm-hygiene from the lake as it is; opens without a network. "
        "It holds counts and shares, no personal data.</footer>\n</body>\n</html>\n"
    )


def _title_date(data: ReportData) -> str:
    when = data.run.started_at if data.run else data.measured_at
    return f"{when:%d %B %Y}".lstrip("0") if when else "no night yet"


def _state(data: ReportData) -> str:
    if data.run is None:
        return '<p class="soft">No night has changed anything on this lake yet.</p>'
    run = data.run
    took = f"{run.seconds / 60:.0f} min" if run.seconds >= 120 else f"{run.seconds:.0f} s"
    when = f"started {run.started_at:%H:%M} UTC, took {took}, {run.published} tables changed"
    if run.status == "succeeded":
        return f'<p><span class="state good">✓ done</span><span class="soft">{when}</span></p>'
    reason = f"<p>{text(run.reason)}</p>" if run.reason else ""
    return f'<p><span class="state bad">✕ stopped</span><span class="soft">{when}</span></p>{reason}'


def _section(name: str, intro: str, *parts: str) -> str:
    title = dict(_SECTIONS)[name]
    lead = f'<p class="soft">{intro}</p>\n' if intro else ""
    return f'<section id="{name}">\n<h2>{title}</h2>\n{lead}{"".join(parts)}</section>\n'


def _beside(*parts: str) -> str:
    """Parts beside each other where the page is wide enough."""
    return f'<div class="two">\n{"".join(f"<div>{part}</div>" for part in parts if part)}</div>\n'


def _delta(data: ReportData, name: str) -> str:
    """What became of a key figure since the night before."""
    figure = data.figure(name)
    if figure is None:
        return ""
    if data.run is not None and figure.last_run_id != data.run.run_id:
        return "as the night before"
    if len(figure.values) < 2:
        return "first night measured"
    change = figure.values[-1] - figure.values[-2]
    told = in_words(figure.metric, abs(change))
    if told == in_words(figure.metric, 0):
        return "as the night before"
    return f"{'+' if change > 0 else '−'}{told} since the night before"


def _glance(data: ReportData) -> str:
    tiles = [
        tile(name, figure.last_in_words, _delta(data, name))
        for name in ("source records", "people", "organisations", "quality of people")
        if (figure := data.figure(name))
    ]
    events = data.events
    since = "so far" if data.is_first else "since the night before"
    more = f"{events['created']:,} new, {events['split']:,} split {since}"
    tiles.append(tile("merged", events["merged"], more))
    failed = len(data.failed_checks)
    total = failed + data.checks_held
    tiles.append(tile("checks of gates", f"{data.checks_held:,} of {total:,}", "held"))
    broken = len(data.limits)
    tiles.append(tile("limits", f"{data.limits_held:,} of {data.limits_held + broken:,}", "held"))
    for name in ("rows in quarantine", "invoices paid", "cash exceptions", "questions for stewards"):
        if figure := data.figure(name):
            tiles.append(tile(name, figure.last_in_words, _delta(data, name)))
    planned = sum(row["rows"] for row in data.changes)
    tiles.append(tile("changes planned", planned, "nothing is sent"))
    return _section("glance", "", f'<ul class="tiles">\n{"".join(tiles)}</ul>\n', _alerts(data))


def _alerts(data: ReportData) -> str:
    if not data.limits and not data.failed_checks:
        return '<p class="good">✓ Every check and every limit held.</p>\n'
    items = []
    for limit in data.limits:
        is_stop = limit["severity"] == "critical"
        told = limit["failing"]
        shown = "".join(f"<li>{text(line)}</li>" for line in told[:5])
        rest = limit["failed_count"] - min(5, len(told))
        shown += f"<li>and {rest:,} more</li>" if rest > 0 else ""
        mark = '<b class="bad">✕ stops</b>' if is_stop else '<b class="warn">! warns</b>'
        items.append(
            f'<li class="{"stop" if is_stop else "warns"}">{mark} {text(limit["check_name"])} '
            f"in {code(limit['table_name'])}<ul>{shown}</ul></li>\n"
        )
    checks = table(
        "Checks that failed when their table was last computed",
        ["table", "check", "then", "rows"],
        (
            (
                c["table_name"],
                _check_in_words(c["check_name"]),
                {"critical": "table stopped", "warning": "rows to quarantine"}.get(c["severity"], "noted"),
                c["failed_count"],
            )
            for c in data.failed_checks
        ),
        "tttn",
    )
    listed = f'<h3>Beyond the limits</h3>\n<ul class="alerts">\n{"".join(items)}</ul>\n' if items else ""
    return listed + checks


def _check_in_words(name: str) -> str:
    """`column_values_to_not_be_null(amount)` as `amount must not be null`."""
    rule, _, rest = name.partition("(")
    words = rule.removeprefix("column_").removeprefix("values_").removeprefix("compound_columns_")
    told = f" {words}".replace("_", " ").replace(" to ", " must ", 1).strip()
    return f"{rest.partition(')')[0].replace(',', ', ')} {told}"


def _some(count: int | None) -> int | str:
    """A count, nothing for none: a zero in every row hides the row that matters."""
    return count or ""


def _trends(data: ReportData) -> str:
    if not data.trends:
        return _section("trends", "No night has been measured yet.")
    figures = [
        f"<figure>\n<figcaption>{text(f.name[:1].upper() + f.name[1:])}"
        f' <span class="value">{text(f.last_in_words)}</span>'
        f"<small>{text(f.meaning)}</small></figcaption>\n"
        f"{line_chart(f.name, f.metric, f.days, f.values)}\n</figure>\n"
        for f in data.trends
    ]
    nights = max(len(f.values) for f in data.trends)
    intro = (
        "One night so far: the lines start with the next one."
        if nights == 1
        else f"The last {nights} nights that changed anything. Scales start at the lowest night, not at zero."
    )
    return _section("trends", intro, f'<div class="charts">\n{"".join(figures)}</div>\n')


def _changed(data: ReportData) -> str:
    shown = [name for name in ("files", "rows", "unreadable", "refused") if any(r[name] for r in data.landed)]
    landed = table(
        "What came in last: files and their rows; unreadable rows and refused files, where there are any",
        ["source", *shown],
        ((r["source"] or "no source", *(_some(r[name]) for name in shown)) for r in data.landed),
        "t" + "n" * len(shown),
    )
    changed = table(
        "Rows per table, where they changed",
        ["table", "before", "now", "change"],
        ((code(r["table_name"]), r["before"], r["now"], signed(r["change"])) for r in data.changed),
        "tnnn",
    )
    return _section(
        "changed", "" if changed else "No table has more or fewer rows.", _beside(landed, changed)
    )


def _cash(data: ReportData) -> str:
    if not data.invoices and not data.payments:
        return _section("cash", "No invoices and no payments yet.")
    invoices = table(
        "Invoices against the bank",
        ["state", "currency", "invoices", "amount", "open"],
        (
            (
                r["status"].replace("_", " "),
                r["currency"],
                r["rows"],
                grouped(r["amount"], r["currency"]),
                grouped(r["open_amount"], r["currency"]),
            )
            for r in data.invoices
        ),
        "ttnnn",
    )
    payments = table(
        "Payments",
        ["state", "currency", "payments", "amount", "not applied"],
        (
            (
                r["status"].replace("_", " "),
                r["currency"],
                r["rows"],
                grouped(r["amount"], r["currency"]),
                grouped(r["unapplied_amount"], r["currency"]),
            )
            for r in data.payments
        ),
        "ttnnn",
    )
    return _section("cash", "", _beside(invoices, payments))


def _sources(data: ReportData) -> str:
    return _section(
        "sources",
        "Most trouble first: records with problems and rows refused. A source that feeds several tables "
        "counts in all of them, with its worst share.",
        table(
            "Sources",
            [
                "source",
                "rows",
                "with problems",
                "in quarantine",
                "repeats itself",
                "median age",
                "last new file",
            ],
            (
                (
                    r["source"],
                    measured("row_count", r["row_count"]),
                    _share(r["problem_share"]),
                    _share(r["quarantine_share"]),
                    _share(r["duplicate_share"]),
                    measured("age_days", r["age_days"]),
                    _ago(r["days_since_landing"]),
                )
                for r in data.sources
            ),
            "tnnnnnn",
        ),
    )


def _share(value: float | None) -> str:
    """A share, nothing for none: what stands out should."""
    return in_words("problem_share", value) if value else ""


def _ago(days: float | None) -> str | None:
    if days is None:
        return None
    return "newest" if round(days) == 0 else f"{in_words('days_since_landing', days)} before"


def _fields(data: ReportData) -> str:
    def where(row: dict[str, Any]) -> tuple[str, str, str]:
        return row["column_name"], row["source"], row["table_name"].removeprefix("conformed.")

    parts = [
        table(
            "Values that could not be read, by field",
            ["field", "source", "table", "records"],
            ((*where(r), in_words("problem_share", r["metric_value"])) for r in data.troubled),
            "tttn",
        ),
        table(
            "Distributed otherwise than on the nights before (above 0.25 a different population)",
            ["field", "source", "table", "index"],
            ((*where(r), in_words("stability_index", r["metric_value"])) for r in data.drifted),
            "tttn",
        ),
        table(
            "Less often filled than the night before",
            ["field", "source", "table", "before", "now"],
            (
                (*where(r), *(in_words("fill_share", r[k]) for k in ("before", "metric_value")))
                for r in data.emptied
            ),
            "tttnn",
        ),
        table(
            "Columns that came or went in the newest files",
            ["column", "source", "what"],
            (
                (code(r["column_name"]), r["source"], "new" if r["metric"] == "column_appeared" else "gone")
                for r in data.layouts
            ),
        ),
    ]
    return _section("fields", "" if any(parts) else "No field stands out.", *parts)


def _queues(data: ReportData) -> str:
    sources = [
        (
            "Questions for stewards",
            "crm-hygiene review list",
            table(
                "Who is who, undecided",
                ["question", "of", "questions"],
                (
                    (_QUESTION_KINDS.get(r["question_kind"], r["question_kind"]), r["entity_kind"], r["rows"])
                    for r in data.questions
                ),
                "ttn",
            ),
        ),
        (
            "Exceptions for finance",
            "crm-hygiene review cash list",
            table(
                "Cash, undecided",
                ["type", "exceptions"],
                ((r["exception_type"], r["rows"]) for r in data.exceptions),
                "tn",
            ),
        ),
        (
            "Quarantine",
            'crm-hygiene query "select * from quality.quarantine"',
            table(
                "Rows refused, by reason",
                ["reason", "table", "rows"],
                ((r["reason"], r["table_name"], r["rows"]) for r in data.quarantine),
                "ttn",
            ),
        ),
        (
            "Changes planned for the CRM",
            'crm-hygiene query "select * from writeback.changes"',
            table(
                "Nothing is sent yet",
                ["system", "object", "kind", "fields"],
                ((r["target"], r["object"], r["change_kind"], r["rows"]) for r in data.changes),
                "tttn",
            ),
        ),
    ]
    parts = [
        f"<div><h3>{text(title)}</h3>\n"
        + (f"<p>Work them with {code(command)}</p>\n{rows}" if rows else '<p class="good">✓ Empty.</p>\n')
        + "</div>\n"
        for title, command, rows in sources
    ]
    return _section("queues", "", f'<div class="queues">\n{"".join(parts)}</div>\n')


def _more(charts: dict[str, str]) -> str:
    lines = [
        f'<li><a href="{text(link)}">How {text(what)} were linked, as charts</a> '
        '<span class="soft">(example pairs show personal data)</span></li>\n'
        for what, link in sorted(charts.items())
    ]
    commands = (
        ("Every figure of every night", 'crm-hygiene query "select * from quality.metrics"'),
        ("How limits held", 'crm-hygiene query "select * from quality.limit_results"'),
        ("Runs, checks and queues on the terminal", "crm-hygiene status"),
        ("Tables, checks and lineage in a browser", "make ui"),
    )
    lines += [f"<li>{what}: {code(command)}</li>\n" for what, command in commands]
    return _section("more", "", f"<ul>\n{''.join(lines)}</ul>\n")


__all__ = ["Markup", "Report", "page_of", "report_path", "write_report"]
