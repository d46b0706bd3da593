"""The report of a run folder whenever somebody asks, also of a run that is half done: then it says which half."""

from pathlib import Path

from potstill.errors import PotstillError
from potstill.evaluate.report import write_report
from potstill.run.folder import is_locked, locked, read_recipe
from potstill.run.status import stage_states


def report(folder: Path, out: Path | None = None) -> tuple[Path, bool]:
    """Write the report of a run as far as it is, by default where a finished run's stands; True where it was written.

    The report of an evaluated run is left alone, since the ledger vouches for that very file; `out` gets another.
    Raises RecipeError where the folder is not a run, PotstillError where a process is working on it and `out` is not
    given, because its own report would come to the same place.
    """
    stages = stage_states(read_recipe(folder), folder)
    if out is not None:
        return write_report(folder, stages, out), True
    if any(one.name == "evaluate" and one.state == "done" for one in stages):
        return folder / "report.html", False
    if is_locked(folder):
        raise PotstillError(
            f"{folder}: a potstill process is working on this run and will write its report; to see how far it is, "
            "give another place with --out FILE"
        )
    with locked(folder):
        return write_report(folder, stages), True
