"""`potstill guard`: events from the logs of a model's API, for its operator."""

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.arguments import verb
from potstill.cli.simulation import guard_simulate

guard = typer.Typer(
    name="guard",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Read the logs of a model's API, to find accounts that act as one.",
)


@guard.callback()
def about() -> None:
    """Read the logs of a model's API, to find accounts that act as one."""


guard.command("simulate")(guard_simulate)


@guard.command("events")
@verb
def guard_events(
    logs: Annotated[list[Path], typer.Argument(metavar="LOGS...", help="Log files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New folder for the events.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Key of the pseudonyms.", show_default="$POTSTILL_GUARD_KEY"),
    ] = None,
    metadata_only: Annotated[
        bool, typer.Option("--metadata-only", help="Drop prompts, system prompts and answers.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORM", help="chat_log, litellm, otel, canonical.", show_default="by looking"),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Where rows have a field; may be repeated."),
    ] = None,
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="ZONE", help="Of times that name none, such as Europe/Berlin.")
    ] = "UTC",
    processes: Annotated[int, typer.Option("--processes", min=1, help="Files read at a time.")] = 2,
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
