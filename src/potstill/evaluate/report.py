"""The report of a run: one HTML file that a manager reads from the top and that asks nothing of the network."""

import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from potstill.evaluate.decision import MIN_PROMPTS
from potstill.evaluate.meanings import BASELINES, WORDING
from potstill.evaluate.reporting.costs import costs_section
from potstill.evaluate.reporting.judge import judge_section
from potstill.evaluate.reporting.lm_eval import lm_eval_section
from potstill.evaluate.reporting.probes import probes_section
from potstill.evaluate.reporting.progress import progress_section, unfinished_decision, unfinished_evaluation
from potstill.evaluate.reporting.run_files import read_evaluation, read_ledger, read_metrics, read_text
from potstill.evaluate.reporting.screening import read_screening_summary, screening_section
from potstill.evaluate.reporting.sections import (
    comparison_note,
    decision_section,
    example_row,
    headlines,
    plot_section,
    spread_examples,
    thin_evidence,
)
from potstill.evaluate.reporting.self_agreement import self_agreement_section
from potstill.evaluate.reporting.slices import slice_section
from potstill.evaluate.reporting.tables import (
    data_table,
    figure_row,
    models_table,
    ordered_models,
    position_row,
)
from potstill.evaluate.reporting.task import task_section
from potstill.evaluate.reporting.terms import terms_section
from potstill.evaluate.reporting.wording import capital, printed, role_title, time_of_day, value_of
from potstill.evaluate.reporting.worst import worst_section
from potstill.evaluate.summary import (
    across_tokenizers,
    figures_shown,
    mapping,
    mappings,
    plural,
)
from potstill.records import StageState
from potstill.store.durable import written_whole


def write_report(folder: Path, stages: Sequence[StageState] = (), path: Path | None = None) -> Path:
    """Write `report.html` into a run folder, or to `path`, from what the run left there: all at once or not at all.

    Reads evaluation.json (must be there), metrics.jsonl, recipe.yaml and ledger.jsonl; whatever is missing or null
    in them reads "not measured" or "not recorded". The same files give the same bytes. With the states of the run's
    `stages` a report may also be of a run that was not evaluated: it says which half is missing.
    Raises PotstillError where evaluation.json is missing or not a JSON object, or the report can't be written.
    """
    page = _template().render(view_of(folder, stages))
    path = path or folder / "report.html"
    with written_whole(path) as file:
        file.write(page.encode("utf-8"))
    return path


def view_of(folder: Path, stages: Sequence[StageState] = ()) -> dict[str, Any]:
    """Everything that the template shows, in the order of the page; texts are ready to print, none is HTML."""
    evaluated = not stages or (folder / "evaluation.json").exists()
    evaluation = read_evaluation(folder / "evaluation.json") if evaluated else unfinished_evaluation(folder)
    metrics, unreadable = read_metrics(folder / "metrics.jsonl")
    figures, models = mapping(evaluation.get("figures")), ordered_models(mapping(evaluation.get("models")))
    shown, folded = spread_examples(mappings(evaluation.get("examples")))
    baselines = [name for name in BASELINES if any(key.startswith(f"{name}.") for key in figures)]
    return {
        "name": evaluation.get("name") or folder.resolve().name,
        "created": time_of_day(evaluation.get("created")),
        "references": [(role_title(role), mapping(model).get("reference")) for role, model in models.items()],
        "decision": decision_section(mapping(evaluation.get("decision"))) if evaluated else unfinished_decision(),
        "evaluated": evaluated,
        "progress": progress_section(stages, evaluated=evaluated),
        "thin": thin_evidence(figures),
        "min_prompts": MIN_PROMPTS,
        "comparison": comparison_note(mapping(evaluation.get("comparison"))),
        "tiles": headlines(evaluation, models),
        "plots": plot_section(evaluation, metrics),
        "positions": [position_row(row) for row in mappings(evaluation.get("by_position"))],
        "unreadable_metrics": plural(unreadable, "line") if unreadable else "",
        "examples": [example_row(example) for example in shown],
        "examples_folded": [example_row(example) for example in folded],
        "baselines": [BASELINES[name] for name in baselines],
        "figures": [figure_row(name, evaluation, baselines) for name in figures_shown(evaluation)],
        "self_agreement": self_agreement_section(evaluation, baselines),
        "task": task_section(evaluation, baselines),
        "lm_eval": lm_eval_section(evaluation),
        "probes": probes_section(evaluation),
        "slices": slice_section(evaluation),
        "worst": worst_section(evaluation),
        "judge": judge_section(evaluation, baselines),
        "models": models_table(models, across_tokenizers(evaluation), mapping(evaluation.get("speed"))),
        "costs": costs_section(evaluation),
        "data": data_table(mapping(evaluation.get("data"))),
        "screening": screening_section(read_screening_summary(folder / "screening.json")),
        "terms": terms_section(mapping(evaluation.get("terms"))),
        "machine": [
            (capital(key.replace("_", " ")), printed(value))
            for key, value in mapping(evaluation.get("machine")).items()
        ],
        "recipe": read_text(folder / "recipe.yaml"),
        "ledger": read_ledger(folder / "ledger.jsonl"),
        "folder": shlex.quote(folder.resolve().name),
        "missing": [WORDING[name].title for name in figures_shown(evaluation) if value_of(figures, name) is None],
    }


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
