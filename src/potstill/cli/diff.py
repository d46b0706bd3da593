"""The verb that says what changed between two runs."""

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.arguments import verb


@verb
def diff(
    old: Annotated[Path, typer.Argument(metavar="RUN_A", help="Run folder of the earlier run.")],
    new: Annotated[Path, typer.Argument(metavar="RUN_B", help="Run folder of the later run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what changed between two runs, and whether the student became better or worse.

    Shows the changed fields of the recipe, prompts and answers, each figure with its interval, a paired comparison over
    the held-out prompts that both runs have, slices that became better or worse, and both decisions.

    Example: potstill diff runs/first runs/second
    """
    import json
    from dataclasses import asdict

    from potstill.run.diff import diff as compare_runs
    from potstill.run.diff_text import diff_lines

    found = compare_runs(old, new)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1, ensure_ascii=False, default=str))
        return
    for line in diff_lines(found):
        typer.echo(line)
