"""Printing lines and tables for people, on a terminal or whatever takes its place."""

import io
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def terminal() -> Console:
    """The terminal, or whatever takes its place: what its encoding lacks is a question mark."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console()


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of strings under its title."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")  # a name that is cut off names nothing
    for row in rows:
        table.add_row(*row)
    terminal().print(table)


def print_line(text: str) -> None:
    """Print a line as it is, however long."""
    terminal().print(text, highlight=False, soft_wrap=True, markup=False)
