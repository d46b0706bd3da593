"""`potstill doctor`: what a log of answers is good for."""

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.arguments import verb


@verb
def doctor(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Log files, or folders of them.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORM", help="chat_log, fine_tuning, litellm or batch.", show_default="by looking"
        ),
    ] = None,
    job_key: Annotated[
        str | None,
        typer.Option("--job-key", metavar="FIELD", help="Field that holds the job, such as metadata.feature."),
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="DIR", help="Write usable, ask_again and left_out.jsonl there.")
    ] = None,
    keep_personal: Annotated[
        bool, typer.Option("--keep-personal", help="Leave nothing out for the personal data in it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Examine logs of a model's answers: what can be trained on, what must be asked again.

    Reads chat completions with their requests, fine-tuning files, LiteLLM logs and batch files, and tells for each job:
    other jobs under its key, tools that changed, refusals, truncations, contradictions, duplicates, personal data
    (masked), languages. Nothing is sent anywhere, and the log is not changed.

    \b
    Examples:
      potstill doctor log.jsonl
      potstill doctor batch_input.jsonl batch_output.jsonl --export sorted
    """
    import json
    from dataclasses import asdict

    from potstill.doctor import examine, lines
    from potstill.doctor import export as write_out
    from potstill.exchanges import known_form
    from potstill.progress import Terminal

    wanted = known_form(form)
    examined = examine(files, wanted, job_key, keep_personal=keep_personal, reporter=Terminal())
    if as_json:
        typer.echo(json.dumps(asdict(examined.diagnosis), ensure_ascii=False, indent=2))
    else:
        for line in lines(examined.diagnosis):
            typer.echo(line)
    if export is not None:
        counts = write_out(examined, files, export, wanted, job_key)
        written = ", ".join(f"{name}.jsonl {count:,}" for name, count in counts.items())
        typer.echo(f"wrote {export}: {written}", err=as_json)
