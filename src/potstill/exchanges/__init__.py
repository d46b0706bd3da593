"""Logged exchanges with models: one record for all forms of logs, and readers that no bad row stops."""

from potstill.exchanges.reading import find_form, form_named, form_of_row, known_form, read_exchanges
from potstill.exchanges.record import FORMS, Exchange, Unreadable
from potstill.exchanges.rows import log_files, opened, rows

__all__ = [
    "FORMS",
    "Exchange",
    "Unreadable",
    "find_form",
    "form_named",
    "form_of_row",
    "known_form",
    "log_files",
    "opened",
    "read_exchanges",
    "rows",
]
