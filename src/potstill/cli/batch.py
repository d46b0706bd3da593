"""`potstill batch`: batch files that people upload and download by hand."""

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.arguments import RecipeArgument, RunArgument, SetOption, verb

batch = typer.Typer(
    name="batch",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Write and read batch files by hand.",
)


@batch.command("write")
@verb
def batch_write(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")],
    folder: Annotated[
        Path | None, typer.Option("--run", metavar="RUN", help="Run folder.", show_default="runs/NAME")
    ] = None,
    changes: SetOption = None,
) -> None:
    """Write what is not answered yet as input files in OpenAI's batch form.

    Example: potstill batch write recipe.yaml --out upload
    """
    from potstill.progress import Terminal
    from potstill.run.batch import write_batch

    run_folder, files = write_batch(recipe, out, folder, changes or (), Terminal())
    for file in files:
        typer.echo(f"wrote {file}")
    typer.echo(f"then: potstill batch read {run_folder} FILE..." if files else "nothing is left to ask")


@batch.command("read")
@verb
def batch_read(
    folder: RunArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Output and error files of the provider.")],
) -> None:
    """Put a provider's output and error files into a run's journal, in whatever order; reading twice does no harm.

    Example: potstill batch read runs/glossary batch_1_output.jsonl batch_1_error.jsonl
    """
    from potstill.run.batch import read_batch

    typer.echo(f"{folder}: {read_batch(folder, files)}; `potstill run` goes on with them")
