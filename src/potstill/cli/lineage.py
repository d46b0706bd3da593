"""The verb that follows a row from its source to the students that learned from it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from potstill.cli.arguments import verb
from potstill.errors import PotstillError, RecipeError

if TYPE_CHECKING:
    from potstill.run.lineage import Kind, Lineage

_Place = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or a folder that holds run folders.")]


@verb
def lineage(
    place: _Place,
    prompt: Annotated[str | None, typer.Option("--prompt", metavar="HASH", help="A prompt's hash.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="A source file, or a place in it: FILE:LINE.")
    ] = None,
    request: Annotated[str | None, typer.Option("--request", metavar="HASH", help="A request's hash.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Follow a row: which answers, signal files, students and exports it went into, or why it did not.

    The beginning of a hash is enough where it is unique. Exit code 1 where a file that the answer rests on is not as
    the ledger recorded it.

    Example: potstill lineage runs/quickstart --source prompts.jsonl:1
    """
    import json

    from potstill.run.lineage import lineage as follow
    from potstill.run.lineage import lines

    asked: dict[Kind, str | None] = {"prompt": prompt, "source": source, "request": request}
    given = [(kind, name) for kind, name in asked.items() if name]
    if len(given) != 1:
        raise RecipeError("lineage: give one of --prompt HASH, --source NAME and --request HASH")
    kind, name = given[0]
    found = follow(place, kind, name)
    if as_json:
        typer.echo(json.dumps(_plain(found), indent=1, ensure_ascii=False))
    else:
        for one in found:
            for line in lines(one):
                typer.echo(line)
        typer.echo(_conclusion(found))
    if damaged := [one.run for one in found if one.problems]:
        raise PotstillError(f"{damaged[0]}: not as recorded, so this proves nothing; `potstill verify` says what")


def _plain(found: "list[Lineage]") -> dict[str, object]:
    from dataclasses import asdict

    affected = [{"run": one.run, **asdict(model)} for one in found for model in one.affected]
    return {"runs": [asdict(one) for one in found], "affected": affected}


def _conclusion(found: "list[Lineage]") -> str:
    models = [
        f"{one.run}/{model.path}{f' (replaced, line {model.ledger_line})' if model.replaced else ''}"
        for one in found
        for model in one.affected
    ]
    return f"affected: {len(models):,} models: {', '.join(models)}" if models else "affected: no model"
