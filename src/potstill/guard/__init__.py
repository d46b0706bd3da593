"""Guard, the provider's side: events of an API's logs, pseudonyms, evidence, and cases of accounts that act as one."""

from potstill.guard.cases.case import Case, Shown, read_cases
from potstill.guard.cases.findings import How
from potstill.guard.cases.scan import Scanned, scan
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
    "Case",
    "EventStore",
    "Gap",
    "How",
    "Ingested",
    "Intake",
    "Pseudonyms",
    "Scanned",
    "Shown",
    "ingest",
    "missing_evidence",
    "open_events",
    "read_cases",
    "read_key",
    "scan",
]
