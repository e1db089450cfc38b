"""The command line: one module per command, one place for exit codes."""

from crm_hygiene.garbage import few_collections


def main() -> None:
    """Entry point; imports what it needs when called: processes beside a night import this module, too."""
    with few_collections():
        from crm_hygiene.cli.main import main as front_door
    front_door()
