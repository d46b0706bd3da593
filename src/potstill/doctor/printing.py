"""The doctor's report as lines for a terminal."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from potstill.doctor.findings import WORDS, Diagnosis, Found, JobReport, Part, ToolChange, Verdict

_VERDICTS: Mapping[Verdict, str] = {"usable": "train on as it is", "ask_again": "ask again", "left_out": "leave out"}
_JOBS_SHOWN = 20
_JOBS_EXPECTED = 200  # more keys than this name requests or users rather than jobs
_KINDS = {"email": "e-mail address", "phone": "phone number", "card": "card number", "iban": "IBAN",
          "ip_address": "IP address", "us_ssn": "US social security number"}  # fmt: skip


def lines(found: Diagnosis) -> list[str]:
    """The report; places are without the folder where all files lie in one."""
    folders = {name.rpartition("/")[0] for name in found.files}
    common = f"{folders.pop()}/" if len(folders) == 1 else ""
    text = list(_lines(found))
    return [line.replace(common, "") for line in text] if common != "/" else text


def _lines(found: Diagnosis) -> Iterator[str]:
    what = found.files[0] if len(found.files) == 1 else f"{found.files[0]} and {len(found.files) - 1:,} more files"
    yield f"{what}: read as {found.form}, {_count(found.exchanges, 'exchange')}, {_count(len(found.jobs), 'job')}"
    for reason, rows in found.unreadable.items():
        yield f"  not read: {_count(rows.count, 'row')}, {reason}{_at(rows)}"
    if len(found.jobs) > _JOBS_EXPECTED:
        yield "  so many keys are rather users or requests than jobs; name the field of the job with --job-key"
    for job in found.jobs[:_JOBS_SHOWN]:
        yield ""
        yield from _job(job)
    if len(found.jobs) > _JOBS_SHOWN:
        yield ""
        yield f"and {len(found.jobs) - _JOBS_SHOWN:,} smaller jobs; --json lists all"
    yield ""
    yield "in all: " + ", ".join(f"{words} {found.total(verdict):,}" for verdict, words in _VERDICTS.items())


def _job(job: JobReport) -> Iterator[str]:
    models = ", ".join(f"{name} {count:,}" for name, count in list(job.models.items())[:5])
    when = f", {_day(job.first_s)} to {_day(job.last_s)}" if job.first_s is not None else ""
    yield f"job {job.key or '(the log names none)'}: {_count(job.exchanges, 'exchange')}{when}; models: {models}"
    if job.mixed:
        yield f"  mixed: {len(job.parts)} jobs share this key, told apart by their templates"
    if job.varied:
        yield "  system prompts differ from one exchange to the next, so jobs that share this key cannot be told apart"
    yield f"  languages: asked {_shares(job.asked_in)}; answered {_shares(job.answered_in)}"
    for kind, personal in job.personal.items():
        shown = ", ".join(personal.masked)
        where = _at(Found(personal.count, personal.places))
        yield f"  personal data: {_KINDS[kind]} in {_count(personal.count, 'exchange')}: {shown}{where}"
    for kind, rows in job.contacts.items():
        name = kind.replace(kind.partition(" ")[0], _KINDS[kind.partition(" ")[0]])
        yield f"  shared by many, so nobody's in particular: {name}, {_count(rows.count, 'exchange')}{_at(rows)}"
    for number, part in enumerate(job.parts, 1):
        name = f"part {number}, " if job.mixed else ""
        yield f'  {name}"{part.beginning}": {_count(part.exchanges, "exchange")} ({part.place})'
        yield from _part(part)


def _part(part: Part) -> Iterator[str]:
    for change in part.tools:
        yield f"    tools: {_change(change)}"
    for reason, found in part.reasons.items():
        yield f"    found: {_count(found.count, 'exchange')}: {WORDS[reason]}{_at(found)}"
    for verdict, words in _VERDICTS.items():
        because = ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in part.because[verdict].items())
        yield f"    {words:<18}{part.verdicts[verdict]:>9,}{f'  ({because})' if because else ''}"


def _change(one: ToolChange) -> str:
    when = f" ({_day(one.time_s)})" if one.time_s is not None else ""
    sides = f"{one.before:,} before, {one.after:,} after"
    match one.kind:
        case "changed":
            return f"{one.name} takes other arguments from {one.place}{when} on: {sides}"
        case "renamed":
            return f"{one.name} is called {one.to} from {one.place}{when} on: {sides}"
        case "removed":
            return f"{one.name} is gone from {one.place}{when} on: {sides}"
        case "added":
            return f"{one.name} is new from {one.place}{when} on: {sides}"
        case _:
            return f"{one.name} has two versions in turns ({one.place}): {one.before:,} and {one.after:,} exchanges"


def _at(found: Found) -> str:
    return f" ({', '.join(found.places)}{', …' if found.count > len(found.places) else ''})" if found.places else ""


def _shares(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    if not total:
        return "nothing"
    named = [f"{'not told' if code == '?' else code} {_share(count, total)}" for code, count in counts.items()]
    return ", ".join(named[:6]) + (f" and {len(named) - 6} more" if len(named) > 6 else "")


def _share(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{share:.0f} %" if share >= 1 else "under 1 %"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _day(seconds: float | None) -> str:
    return "?" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
