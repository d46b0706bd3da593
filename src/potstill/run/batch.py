"""Batch files by hand: what a run would ask as files to upload, and what came back into the run."""

from collections.abc import Sequence
from pathlib import Path

from potstill.config import load_recipe
from potstill.errors import RecipeError
from potstill.ledger import file_hash
from potstill.progress import Reporter, Silent
from potstill.run.folder import default_folder, find_recipe, locked, read_recipe
from potstill.run.pipeline import run_recipe
from potstill.run.record import note, reopen


def write_batch(
    recipe_path: Path | str,
    out: Path,
    folder: Path | None = None,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> tuple[Path, list[Path]]:
    """Do a run's stages before collecting, then write the requests without an answer as input files into `out`.

    Returns the run folder and the files. Raises as `run` and `collect.offline.write_input_files` do.
    """
    from potstill.collect.offline import write_input_files
    from potstill.store.prompts import read_prompts
    from potstill.terms import clear

    reporter = reporter or Silent()
    recipe = load_recipe(find_recipe(str(recipe_path)), overrides)
    if recipe.teacher.endpoint is None:
        raise RecipeError("teacher.endpoint: missing; batch files are for a provider, and this teacher is none")
    folder = folder or default_folder(recipe)
    run_recipe(recipe, folder, "prompts", reporter)
    with locked(folder):
        prompts = read_prompts(folder / "prompts.parquet")
        reopen(folder, "collect", "requests are written into files for a batch API")
        return folder, write_input_files(recipe, clear(recipe), prompts, folder, out, reporter)


def read_batch(folder: Path, files: Sequence[Path]) -> str:
    """Put output and error files of a provider into a run's journal; returns what they held, in words.

    Raises RecipeError where the folder is not a run, and as `collect.offline.read_output_files` does.
    """
    from potstill.collect.offline import read_output_files
    from potstill.terms import clear

    recipe = read_recipe(folder)
    with locked(folder):
        if found := {file.name: file_hash(file) for file in files if file.is_file()}:
            reopen(folder, "collect", "answers of a batch API are read from files")
            note(folder, "batch_read", {"files": found})
        return read_output_files(recipe, clear(recipe), folder, files)
