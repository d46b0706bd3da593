"""What the verbs share: their common arguments, and how Ctrl-C inside one is worded."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from potstill.errors import PotstillError

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Recipe file, or quickstart for the one that comes along.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, such as runs/quickstart.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change one key of the recipe for this call; may be repeated."),
]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="RUN", help="Run folder.", show_default="runs/NAME")]


class Stopped(PotstillError):
    """Ctrl-C: not a fault, but the command did not finish."""

    exit_code = 130


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Turn Ctrl-C inside a verb into one line, whatever the argument parser would make of it."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> None:
        try:
            function(*arguments, **options)
        except KeyboardInterrupt:
            raise Stopped("stopped; the same command goes on where this one stopped") from None

    return call
