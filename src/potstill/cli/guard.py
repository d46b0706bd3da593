"""`potstill guard`: events from the logs of a model's API, for its operator."""

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.arguments import verb
from potstill.cli.sharing import guard_export_stix
from potstill.cli.simulation import guard_simulate

guard = typer.Typer(
    name="guard",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Read the logs of a model's API, to find accounts that act as one.",
)


KeyOption = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="Key of the pseudonyms.", show_default="$POTSTILL_GUARD_KEY"),
]
MetadataOnlyOption = Annotated[bool, typer.Option("--metadata-only", help="Drop prompts, system prompts and answers.")]
FormOption = Annotated[
    str | None,
    typer.Option("--format", metavar="FORM", help="chat_log, litellm, otel, canonical.", show_default="by looking"),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="Where rows have a field; may be repeated."),
]
ZoneOption = Annotated[
    str, typer.Option("--time-zone", metavar="ZONE", help="Of times that name none, such as Europe/Berlin.")
]
ProcessesOption = Annotated[int, typer.Option("--processes", min=1, help="Files read at a time.")]


@guard.callback()
def about() -> None:
    """Read the logs of a model's API, to find accounts that act as one."""


guard.command("simulate")(guard_simulate)
guard.command("export-stix")(guard_export_stix)


@guard.command("events")
@verb
def guard_events(
    logs: Annotated[list[Path], typer.Argument(metavar="LOGS...", help="Log files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New folder for the events.")],
    key: KeyOption = None,
    metadata_only: MetadataOnlyOption = False,
    form: FormOption = None,
    columns: MapOption = None,
    time_zone: ZoneOption = "UTC",
    processes: ProcessesOption = 2,
) -> None:
    """Read logs into events: one schema, identifiers replaced by pseudonyms, bad rows set aside with their reason.

    Reads requests and responses in the OpenAI form, LiteLLM's spend logs, OpenTelemetry spans (OTLP JSON), and JSONL,
    CSV or Parquet with the event's own fields. Nothing is sent anywhere, and the logs are not changed.

    \b
    Examples:
      potstill guard events logs/ --out events --key guard.key
      potstill guard events requests.csv --out events --map account=customer_id --map time=at --metadata-only
    """
    from potstill.guard.clock import zone
    from potstill.guard.events import Intake, ingest
    from potstill.guard.forms import known_form
    from potstill.guard.pseudonyms import read_key
    from potstill.guard.reading import read_columns
    from potstill.guard.summary import lines
    from potstill.progress import Terminal

    how = Intake(
        read_key(key), known_form(form), read_columns(columns or []), metadata_only, zone(time_zone), processes
    )  # fmt: skip
    for line in lines(ingest(logs, out, how, Terminal()), metadata_only):
        typer.echo(line)


@guard.command("scan")
@verb
def guard_scan(
    logs: Annotated[
        list[Path], typer.Argument(metavar="LOGS...", help="Log files, folders of them, or a folder of guard events.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for cases.json and the evidence.")],
    key: KeyOption = None,
    metadata_only: MetadataOnlyOption = False,
    form: FormOption = None,
    columns: MapOption = None,
    time_zone: ZoneOption = "UTC",
    processes: ProcessesOption = 2,
    level: Annotated[
        float, typer.Option("--level", min=0.0001, max=0.5, help="False discovery rate across all groups asked.")
    ] = 0.05,
    permutations: Annotated[
        int, typer.Option("--permutations", min=99, help="At most, for each group and question.")
    ] = 49_999,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the permutations.")] = 0,
    calibrate: Annotated[
        int, typer.Option("--calibrate", min=0, help="Scan so many shuffled replicas too, and print who is accused.")
    ] = 0,
    allow: Annotated[
        Path | None, typer.Option("--allow", metavar="FILE", help="Licensed customers (CSV), to be watched only.")
    ] = None,
) -> None:
    """Find accounts that act as one beyond chance: cases.json and report.html, with what else would explain it.

    A case is no proof that somebody copies the model, and nothing is done to any account. Ends with code 0 where no
    case has evidence, and 3 where one has. A call that was killed goes on when it is given again.

    \b
    Examples:
      potstill guard scan logs/ --out scan --key guard.key
      potstill guard scan requests.csv --out scan --metadata-only --map account=customer_id
    """
    from datetime import UTC, datetime

    from potstill.guard.cases.findings import How
    from potstill.guard.cases.scan import scan
    from potstill.guard.cases.told import lines
    from potstill.guard.clock import zone
    from potstill.guard.events import Intake
    from potstill.guard.forms import known_form
    from potstill.guard.licensed import Allow, read_allow_list
    from potstill.guard.pseudonyms import Pseudonyms, read_key
    from potstill.guard.reading import read_columns
    from potstill.progress import Terminal

    secret = read_key(key)
    how = Intake(secret, known_form(form), read_columns(columns or []), metadata_only, zone(time_zone), processes)
    licences = read_allow_list(allow, Pseudonyms(secret)) if allow is not None else None
    allowed = None if licences is None else Allow(licences, datetime.now(UTC).date())
    found = scan(logs, out, how, How(level, permutations, seed), Terminal(), calibrate, allowed)
    for line in lines(found):
        typer.echo(line)
    if any(case.outcome == "evidence" for case in found.cases):
        raise typer.Exit(3)
