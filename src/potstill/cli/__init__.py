"""The command line: reads the arguments, calls `potstill.run`, prints what comes back, and sets the exit code."""

# Only typer and the errors are imported here, and everything else inside the verbs: `potstill --help` has to answer at
# once, and reading a recipe must not load a tensor library.
import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from potstill import __version__
from potstill.cli.arguments import OutOption, RecipeArgument, RunArgument, SetOption, verb
from potstill.cli.batch import batch
from potstill.cli.diff import diff
from potstill.cli.evidence import export, report, sign, verify
from potstill.cli.guard import guard
from potstill.cli.lineage import lineage
from potstill.cli.logs import doctor
from potstill.cli.terms import terms
from potstill.errors import PotstillError, TermsStopped

if TYPE_CHECKING:
    from potstill.run import Comparison

app = typer.Typer(
    name="potstill",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would take as long to load as everything else together
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 accepted, 1 failed, 2 wrong recipe, 3 student not accepted, 4 stopped by the teacher's "
    "terms, 5 evidence too thin to decide, 130 stopped with Ctrl-C.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"potstill {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works after a verb too.")
    ] = False,
) -> None:
    """Train a small model to do a large model's work, with the evidence of how well, and under which terms.

    A recipe (YAML) names a teacher, prompts and a student. One command makes one run folder out of it: the teacher's
    answers, the student, a report that can be handed on, and a ledger of how it came to be.

    \b
    First steps, with a real small teacher, in a few minutes on a laptop:
      potstill run quickstart
      potstill compare runs/quickstart

    \b
    A job of your own:
      potstill init                 writes recipe.yaml, every key explained
      potstill plan recipe.yaml     what it would do and cost; spends nothing
      potstill run recipe.yaml      does it; stop and repeat it as you like
    """


@app.command()
@verb
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("recipe.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
) -> None:
    """Write a recipe with every key shown and explained, to start from.

    Example: potstill init glossary.yaml
    """
    from importlib.resources import files

    if file.exists() and not force:
        raise PotstillError(f"{file}: exists already; choose another name, or replace it with --force")
    text = (files("potstill") / "data" / "recipe.yaml").read_text(encoding="utf-8")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {file}; put your prompts into prompts.jsonl beside it, then: potstill plan {file}")


@app.command()
@verb
def plan(
    recipe: RecipeArgument,
    out: OutOption = None,
    changes: SetOption = None,
    pilot: Annotated[
        int | None,
        typer.Option("--pilot", metavar="N", min=1, help="Ask the teacher N prompts, twice each, and see. Costs that."),
    ] = None,
) -> None:
    """Say what a run would do and cost, before anything is spent.

    Shows the verdict of the teacher's terms, prompts after removing duplicates, requests, tokens, cost, disk, memory,
    time, and how the student's vocabulary and chat template differ from the teacher's. Sends no request and fetches
    nothing. Exit code 4 if the terms would stop the run.

    With --pilot it asks N training prompts and compares teacher, untrained student and cheap baselines; what the run
    will ask is not asked again. Exit code 1 or 5 where the teacher's accuracy on gold labels is not clearly above that
    of always giving the most frequent one: the run then refuses to start.

    \b
    Examples:
      potstill plan recipe.yaml --set collect.max_new_tokens=64
      potstill plan recipe.yaml --pilot 50
    """
    from potstill.config import load_recipe
    from potstill.progress import Terminal
    from potstill.run import find_recipe
    from potstill.run import plan as make_plan

    made = make_plan(load_recipe(find_recipe(recipe), changes or ()), out, Terminal())
    for line in made.lines():
        typer.echo(line)
    if not made.terms.cleared:
        raise TermsStopped("the teacher's terms stop this run; the line that starts with `terms` says what would help")
    if pilot is not None:
        from potstill.run import run_pilot

        found = run_pilot(made, pilot, out, Terminal())
        for line in found.lines:
            typer.echo(line)
        found.check()


@app.command()
@verb
def run(
    recipe: RecipeArgument,
    out: OutOption = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="STAGE", help="Last stage: terms, prompts, collect, train, evaluate, export."),
    ] = None,
    changes: SetOption = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask again what failed, also what the server refused for good.")
    ] = False,
    despite_pilot: Annotated[
        str | None, typer.Option("--despite-pilot", metavar="REASON", help="Go on although a pilot stopped this run.")
    ] = None,
) -> None:
    """Run a recipe, or go on with a run that was stopped.

    What is done already is not done again: a stage is skipped while the parts of the recipe that it reads and the files
    that it wrote are unchanged. It may be killed at any moment; the same command goes on from there.

    \b
    Examples:
      potstill run quickstart
      potstill run recipe.yaml --until collect
      potstill run recipe.yaml --out runs/second --set train.epochs=2
    """
    from potstill.progress import Terminal
    from potstill.run import run as run_stages

    folder = run_stages(
        recipe, out, until, changes or (), Terminal(), retry_errors=retry_errors, despite_pilot=despite_pilot
    )
    typer.echo(f"done: {folder}")


@app.command()
@verb
def status(folder: RunArgument) -> None:
    """Show how far a run has come.

    Each stage is done, running, stale (what it reads has changed since) or not started; then answers, training steps
    and the decision.

    Example: potstill status runs/quickstart
    """
    from potstill.run import status as read_status

    for line in read_status(folder):
        typer.echo(line)


@app.command()
@verb
def compare(
    folder: RunArgument,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="What to ask both.", show_default="three held-out prompts")
    ] = None,
) -> None:
    """Show teacher and student side by side.

    Both answer the same prompts, one after the other, and their speeds are shown.

    A teacher at an endpoint is not asked again: its recorded answers are shown.

    Example: potstill compare runs/quickstart "umbrella"
    """
    from potstill.progress import Terminal
    from potstill.run import compare as answer_both

    for one in answer_both(folder, prompt, Terminal()):
        _print_comparison(one)


app.command()(export)
app.command()(report)
app.command()(diff)
app.command()(verify)
app.command()(sign)
app.command()(lineage)
app.command()(doctor)
app.add_typer(batch)
app.add_typer(guard)
app.add_typer(terms)


def _print_comparison(one: "Comparison") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, not str: rich would read square brackets as markup.
    table = Table(title=Text(f"prompt: {one.prompt}"), title_justify="left", expand=True)
    heads, texts = [], []
    for name, side in (("teacher", one.teacher), ("student", one.student)):
        speed = f"{side.tokens_per_s:,.1f} tokens/s" if side.tokens_per_s is not None else ""
        heads.append(", ".join(part for part in (name, speed, side.note) if part))
        texts.append(side.text)
    for head in heads:
        table.add_column(Text(head), ratio=1, overflow="fold")
    table.add_row(*(Text(text) for text in texts))
    Console(highlight=False).print(table)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code. An error is one line on standard error, no traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        app(args=[one for one in given if one != "--debug"], prog_name="potstill")
    except Exception as error:
        if debug:
            raise
        line, code = _in_words(error)
        typer.echo(f"potstill: {line}", err=True)
        sys.exit(code)
    sys.exit(0)


_EXTRAS = {"duckdb": "guard", "stix2": "guard", "model_signing": "sign"}  # all others are for training


def _in_words(error: Exception) -> tuple[str, int]:
    """One line for an error, and the exit code."""
    if isinstance(error, PotstillError):
        return str(error), error.exit_code
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
        where = getattr(error, "filename", None) or "the disk"
        return f"no space left on {where}; free some and give the same command again, what is done is kept", 1
    if isinstance(error, ModuleNotFoundError) and not (error.name or "potstill").startswith("potstill"):
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "train")
        return f"this needs the Python package {error.name}; install it with: pip install 'potstill[{extra}]'", 1
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", 1
    first = (str(error).splitlines() or [""])[0]
    return f"unexpected {type(error).__name__}: {first}; --debug shows where, please report it", 1
