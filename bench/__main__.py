"""`python -m bench [night|linkage|cash|spark|upkeep|tryton] [options]`: measure, print, keep the figures.

night (the default)  whole nights on sample exports: time, memory, accuracy
linkage              accuracy on public data sets, beside plain Splink
cash                 reconciliation of generated ledgers with truth, beside naive SQL
spark                linkage with one frozen model on both engines: equal entities, cost as ratios
upkeep               files in the lake over a hundred nights, with and without upkeep
tryton               no benchmark but a proof: write-back and undo on a real Tryton (`make tryton` first)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from bench import night, spark, upkeep
from bench.cash import report as cash
from bench.linkage import report
from bench.tryton import circle

HERE = Path(__file__).parent
COMMANDS = {
    "night": night,
    "linkage": report,
    "cash": cash,
    "spark": spark,
    "upkeep": upkeep,
    "tryton": circle,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark named first, `night` where none is."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] not in (*COMMANDS, "-h", "--help"):
        words = ["night", *words]
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, description=module.__doc__)
        command.add_argument("--out", type=Path, default=HERE / "results", help="folder for the JSON")
        command.add_argument("--work", type=Path, default=HERE / "work", help="folder for exports and lakes")
        module.add_arguments(command)
    given = parser.parse_args(words)
    COMMANDS[given.command].command(given, Console(width=None if sys.stdout.isatty() else 160))


if __name__ == "__main__":
    main()
