"""The 40/60/97 of DistilBERT (Sanh et al. 2019), on two cores and a task with gold labels.

    make benchmark-headline CLINC150=DIR

Fine-tunes SmolLM2-135M-Instruct on the training split's labels (the teacher), distils it into a student with 12 of its
30 layers by recipe.yaml here, evaluates both on the data set's own test split, and prints the table with baselines
and which targets are met. Everything stands in runs/benchmark-headline; killed at any moment, the same command goes on.
"""

import argparse
import sys
from pathlib import Path

from data import source_folder, write_rows

PLACE = Path("runs/benchmark-headline")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="of CLINC150; else what the environment variable CLINC150 names")
    parser.add_argument("--until", metavar="STAGE", help="teacher, or the run's last stage: collect, train, evaluate")
    parser.add_argument(
        "--per-intent", type=int, metavar="N", help="only N queries of each intent and split, to try out"
    )
    parser.add_argument("--out", type=Path, default=PLACE, help="where everything is kept")
    given = parser.parse_args()
    home, rows = given.out / "teacher", given.out / "rows.jsonl"
    write_rows(source_folder(given.folder), rows, given.per_intent)
    distil(given.out / "run", home, rows, given.until)


def distil(folder: Path, home: Path, rows: Path, until: str | None) -> None:
    """Teacher, run and table; what loads torch is imported here, once it is known that there are data."""
    from table import show
    from teacher import fine_tune

    from potstill.config import load_recipe
    from potstill.errors import Inconclusive, NotAccepted
    from potstill.progress import Terminal
    from potstill.run import run_recipe

    reporter = Terminal()
    places = [f"prompts.source={rows.resolve()}", f"teacher.model=path:{home.resolve()}"]
    recipe = load_recipe(Path(__file__).with_name("recipe.yaml"), places)
    fine_tune(recipe, rows, home, reporter)
    if until == "teacher":
        return
    try:
        run_recipe(recipe, folder, until, reporter)
    except (NotAccepted, Inconclusive) as error:
        reporter.say(str(error))  # the table says which target it was
    if (folder / "evaluation.json").exists() and until in (None, "evaluate", "export"):
        show(folder, home)


if __name__ == "__main__":
    sys.exit(main())
