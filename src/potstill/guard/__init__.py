"""Guard, the provider's side: events from an API's logs, with pseudonyms, and evidence of accounts that act as one."""

from potstill.guard.events import Ingested, Intake, ingest
from potstill.guard.needs import KINDS, Gap, missing_evidence
from potstill.guard.pseudonyms import Pseudonyms, read_key
from potstill.guard.schema import FIELDS, IDENTIFIERS, SCHEMA, TEXTS
from potstill.guard.store import EventStore, open_events

__all__ = [
    "FIELDS",
    "IDENTIFIERS",
    "KINDS",
    "SCHEMA",
    "TEXTS",
    "EventStore",
    "Gap",
    "Ingested",
    "Intake",
    "Pseudonyms",
    "ingest",
    "missing_evidence",
    "open_events",
    "read_key",
]
