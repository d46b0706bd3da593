"""What reading logs came to, in lines for a person: counts, what was left out and why, and evidence that is missing."""

from collections.abc import Iterator

from potstill.guard.events import Ingested
from potstill.guard.needs import missing_evidence
from potstill.guard.store import QUARANTINE


def lines(made: Ingested, metadata_only: bool) -> Iterator[str]:
    """The lines that `potstill guard events` prints."""
    noted = made.noted
    forms = ", ".join(f"{count:,} {form}" for form, count in noted.forms.most_common())
    yield f"{noted.events:,} events from {made.files:,} {'file' if made.files == 1 else 'files'} ({forms})"
    if noted.quarantined:
        yield f"{noted.quarantined.total():,} rows are no events; {QUARANTINE} has the place of each"
        for reason, count in noted.quarantined.most_common():
            yield f"  {count:,}  {reason}"
    for name, count in noted.unreadable_fields.most_common():
        yield f"{name}: {count:,} values are of another type and were left out of their events"
    if noted.naive_times:
        yield f"{noted.naive_times:,} times name no zone and were taken in that of --time-zone"
    if noted.backwards:
        yield f"{noted.backwards:,} events are earlier than the one before them in their file; order does not matter"
    if metadata_only:
        yield "metadata only: no prompt, system prompt or answer was stored"
    if noted.events:
        for gap in missing_evidence(noted.present):
            yield f"cannot be seen: {gap.shows} ({gap.kind}: no event has {', '.join(gap.missing)})"
