"""The command line: one module per command, one place for exit codes."""

from crm_hygiene.garbage import few_collections

with few_collections():
    from crm_hygiene.cli.main import main

__all__ = ["main"]
