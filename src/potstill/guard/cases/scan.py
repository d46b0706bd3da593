"""`scan`: from logs to cases.json in one folder, in steps that a killed call does not do twice."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.errors import PotstillError
from potstill.guard.cases.build import build
from potstill.guard.cases.calibration import calibrate
from potstill.guard.cases.case import CASES, Case, write_cases
from potstill.guard.cases.customers import Customers, by_customer
from potstill.guard.cases.findings import Finding, How, examine
from potstill.guard.cases.gathered import Gathered, gather
from potstill.guard.cases.population import LEAST
from potstill.guard.events import Ingested, Intake, ingest
from potstill.guard.forms import files_of
from potstill.guard.licensed import Allow, lowered, organizations, unmatched
from potstill.guard.needs import Gap, missing_evidence
from potstill.guard.pseudonyms import Pseudonyms
from potstill.guard.report import drawn_of, write_report
from potstill.guard.report.page import REPORT
from potstill.guard.store import MANIFEST, EventStore, open_events
from potstill.progress import Reporter, Silent
from potstill.store.durable import written_whole

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LOGS = "logs.json"
_EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan came to."""

    cases: list[Case]
    about: dict[str, Any]  # what cases.json says of the scan itself
    ingested: Ingested | None  # None where the events were there already
    gaps: tuple[Gap, ...]


def scan(
    logs: Sequence[Path],
    folder: Path,
    intake: Intake,
    how: How | None = None,
    reporter: Reporter | None = None,
    replicas: int = 0,
    allow: Allow | None = None,
) -> Scanned:
    """Read logs (or one folder of events that `ingest` made) and write cases.json, report.html and tables of evidence.

    Events are kept in `folder`/events, so a call that was killed after reading goes on from there; cases.json is
    written last. `replicas` of the evidence are shuffled to find the rate of false alarms; `allow` lowers what is done
    about licensed customers. The same logs, key, seed and licences give the same cases. Raises PotstillError for a
    folder that holds something else.
    """
    how, reporter = how or How(), reporter or Silent()
    store, made = _events(logs, folder, intake, reporter)
    with store.connection() as connection:
        customers = by_customer(connection)
        reporter.say("computing evidence")
        gathered = gather(connection)
        _write_tables(folder, gathered)
        reporter.say(f"asking {len(gathered.candidates):,} groups whether anything else joins them")
        findings = examine(gathered, how)
        cases = build(findings, gathered, customers, connection, how)
        drawn = drawn_of(cases, customers.accounts, gathered.links, connection)
        about = _about(store, gathered, customers, findings, how, connection)
        if allow is not None:
            of = organizations(connection)
            cases = lowered(cases, allow.licences, of, allow.today)
            everybody = {one for accounts in customers.accounts.values() for one in accounts}
            about["licences_of_nobody"] = list(unmatched(allow.licences, everybody, of))
    if replicas and gathered.candidates:
        reporter.say(f"calibrating on {replicas:,} shuffled replicas")
        about["calibration"] = calibrate(gathered, how, replicas).as_dict()
    gaps = missing_evidence(store.fields, metadata_only=bool(store.manifest["metadata_only"]))
    about["cannot_be_seen"] = [asdict(gap) for gap in gaps]
    write_report(folder, cases, about, drawn)
    write_cases(folder / CASES, cases, about)
    return Scanned(cases, about, made, gaps)


def _events(
    logs: Sequence[Path], folder: Path, intake: Intake, reporter: Reporter
) -> tuple[EventStore, Ingested | None]:
    if len(logs) == 1 and (logs[0] / MANIFEST).exists():
        _own(folder)
        return open_events(logs[0]), None
    files = files_of(list(logs))
    wanted = {
        "files": [[str(one.resolve()), one.stat().st_size, one.stat().st_mtime_ns] for one in files],
        "key_id": Pseudonyms(intake.key).key_id, "metadata_only": intake.metadata_only, "form": intake.form,
        "columns": dict(intake.columns), "zone": str(intake.zone),
    }  # fmt: skip
    _own(folder)
    known = folder / _LOGS
    if known.exists():
        if json.loads(known.read_text(encoding="utf-8")) != wanted:
            raise PotstillError(f"{folder}: holds a scan of other logs, or read in another way; name another folder")
    else:
        with written_whole(known) as file:
            file.write(json.dumps(wanted).encode())
    if (folder / _EVENTS / MANIFEST).exists():
        return open_events(folder / _EVENTS), None
    made = ingest(logs, folder / _EVENTS, intake, reporter)
    return open_events(folder / _EVENTS), made


def _own(folder: Path) -> None:
    ours = (_LOGS, _EVENTS, CASES, REPORT, "features.parquet", "links.parquet")
    if folder.exists() and any(one.name.removesuffix(".part") not in ours for one in folder.iterdir()):
        raise PotstillError(f"{folder}: holds other files; name a new folder for the scan")
    folder.mkdir(parents=True, exist_ok=True)


def _write_tables(folder: Path, gathered: Gathered) -> None:
    everybody = gathered.population
    features = gathered.features.append_column("class", pa.array(everybody.classes, pa.string()))
    features = features.append_column("p_class", pa.array(everybody.p_class, pa.float64(), from_pandas=True))
    links = pa.Table.from_pylist(
        [asdict(link) for link in gathered.links],
        pa.schema([
            ("kind", pa.string()), ("accounts", pa.list_(pa.string())), ("value", pa.string()), ("events", pa.int64()),
            ("strength_bits", pa.float64()), ("similarity", pa.float64()),
        ]),
    )  # fmt: skip
    for name, table in (("features", features), ("links", links)):
        with written_whole(folder / f"{name}.parquet") as file:
            pq.write_table(table, file, compression="zstd")


def _about(
    store: EventStore, gathered: Gathered, customers: Customers, findings: list[Finding], how: How,
    connection: "DuckDBPyConnection",
) -> dict[str, Any]:  # fmt: skip
    ends = connection.execute(
        "SELECT strftime(min(time), '%Y-%m-%dT%H:%M:%SZ'), strftime(max(time), '%Y-%m-%dT%H:%M:%SZ') FROM events"
    ).fetchone() or (None, None)
    smallest = min((one.smallest_p for one in findings), default=None)
    needed = None if smallest is None else max(1, math.ceil(smallest * len(findings) / how.level))
    return {
        "events": int(store.manifest["events"]), "from": ends[0], "to": ends[1],
        "accounts": sum(len(one) for one in customers.accounts.values()), "customers": len(customers.accounts),
        "organizations_that_are_no_customer": list(customers.not_one),
        "key_id": store.manifest["key_id"], "metadata_only": store.manifest["metadata_only"],
        "seed": how.seed, "permutations": how.permutations, "level": how.level,
        "groups_asked": len(findings), "smallest_p": smallest,
        # So many groups have to reach the smallest p together before any of them can be evidence.
        "groups_at_smallest_p_needed": needed,
        "enough_customers": len(gathered.population.names) >= LEAST,
    }  # fmt: skip
