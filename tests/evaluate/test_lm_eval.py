"""Tasks of lm-eval: its files read, figures paired by document, and one line for whatever goes wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from lm_eval_stand_in import interpreter

from potstill.config import Evaluate, LmEval
from potstill.errors import PotstillError, RecipeError
from potstill.evaluate.lm_eval import LmEvalResult, check_tasks, lm_eval_version, measure_lm_eval
from potstill.evaluate.lm_eval_files import read_results
from potstill.evaluate.reporting.lm_eval import lm_eval_section
from potstill.evaluate.summary import figure_title, format_value
from potstill.progress import Silent
from potstill.stats import cluster_mean, ratio_of_sums

RIGHT = {"teacher": [1.0] * 14 + [0.0] * 2, "student": [1.0] * 10 + [0.0] * 6}


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return interpreter(tmp_path)


def model(folder: Path, scores: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps(scores))
    return folder


def scores(name: str) -> dict[str, Any]:
    each = RIGHT[name]
    return {
        "hot_or_cold": {"none": {"acc": each, "acc_norm": each[::-1]}},
        "say_it": {"strict": {"exact_match": [0.0] * 16}, "loose": {"exact_match": each}},
        "odd": {"none": {"perplexity": [12.0, 14.0]}},
    }


def measure(tmp_path: Path, python: Path, *tasks: str, alone: bool = False, **more: Any) -> LmEvalResult:
    evaluate = Evaluate(lm_eval=LmEval(tasks=tasks, python=python, **more), resamples=500)
    # Commas would cut lm-eval's arguments in two.
    student = model(tmp_path / "a, student=b", scores("student"))
    teacher = None if alone else model(tmp_path / "teacher", scores("teacher"))
    found = measure_lm_eval(evaluate, student, teacher, Silent())
    assert found is not None
    return found


def test_figures_of_both_and_what_is_kept(tmp_path: Path, python: Path) -> None:
    found = measure(tmp_path, python, "hot_or_cold", "say_it", "odd")
    figures = found.figures
    own = cluster_mean(RIGHT["student"], share=True, resamples=500)
    one = figures["lm_eval.hot_or_cold.acc"]
    assert (one.value, one.low, one.high, one.n) == (10 / 16, own.low, own.high, 16)
    assert figures["teacher.lm_eval.hot_or_cold.acc"].value == 14 / 16
    kept = ratio_of_sums(RIGHT["student"], RIGHT["teacher"], resamples=500)
    one = figures["retention.lm_eval.hot_or_cold.acc"]
    assert (one.value, one.low, one.high) == pytest.approx((10 / 14, kept.low, kept.high))
    assert figures["lm_eval.say_it.exact_match@loose"].value == 10 / 16
    # The teacher scores nothing there; perplexity is better lower, and no number of one document.
    assert "retention.lm_eval.say_it.exact_match@strict" not in figures
    assert "retention.lm_eval.odd.perplexity" not in figures
    one = figures["lm_eval.odd.perplexity"]
    assert (one.value, one.low, one.high) == pytest.approx((13, 13 - 1.96 * 0.05, 13 + 1.96 * 0.05))
    assert found.facts["scores"]["hot_or_cold.acc"] == {"n": 16, "higher_is_better": True, "paired": True}
    assert found.facts["version"] == "0.4.13"


def test_what_lm_eval_is_asked(tmp_path: Path, python: Path) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    found = measure(tmp_path, python, "hot_or_cold", limit=16, num_fewshot=2, include_path=tasks, alone=True)
    asked = json.loads((tmp_path / "a, student=b" / "asked.json").read_text())
    for pair in (
        ("--model_args", "pretrained=./student,dtype=float32"), ("--limit", "16"), ("--num_fewshot", "2"),
        ("--include_path", str(tasks)), ("--batch_size", "8"),
    ):  # fmt: skip
        at = asked.index(pair[0])
        assert tuple(asked[at : at + 2]) == pair
    assert "--log_samples" in asked
    assert set(found.figures) == {"lm_eval.hot_or_cold.acc", "lm_eval.hot_or_cold.acc_norm"}  # no teacher, no retention


def test_other_documents_are_not_paired(tmp_path: Path, python: Path) -> None:
    evaluate = Evaluate(lm_eval=LmEval(tasks=("hot_or_cold",), python=python), resamples=500)
    student = model(tmp_path / "student", {"hot_or_cold": {"none": {"acc": [1.0, 0.0] * 6}}})
    teacher = model(tmp_path / "teacher", {"hot_or_cold": {"none": {"acc": [1.0, 1.0, 1.0, 0.0] * 4}}})
    found = measure_lm_eval(evaluate, student, teacher, Silent())
    assert found is not None
    assert not found.facts["scores"]["hot_or_cold.acc"]["paired"]
    one = found.figures["retention.lm_eval.hot_or_cold.acc"]
    spread = 1.96 * ((0.05 / 0.5) ** 2 + (0.05 / 0.75) ** 2) ** 0.5
    assert one.value == pytest.approx(2 / 3)
    assert one.low == pytest.approx(2 / 3 * 2.718281828**-spread)
    assert one.high == pytest.approx(2 / 3 * 2.718281828**spread)


def test_one_line_for_what_goes_wrong(tmp_path: Path, python: Path) -> None:
    for section, words in (
        (LmEval(tasks=("acc",), python=tmp_path / "none"), "python: .*No such file"),
        (LmEval(tasks=("acc",), python=Path("/bin/false")), r"has no lm-eval; install it .*potstill\[lm-eval\]"),
        (LmEval(tasks=("acc",), python=python, include_path=tmp_path / "none"), "include_path: .*no such folder"),
        (LmEval(tasks=("odd", "acc"), python=python), r"lm-eval 0\.4\.13 has no task acc"),
    ):
        with pytest.raises(RecipeError, match=words) as caught:
            check_tasks(section)
        assert "\n" not in str(caught.value)
    assert lm_eval_version(LmEval(tasks=("odd",), python=python)) == "0.4.13"
    broken = model(tmp_path / "broken", "broken")
    evaluate = Evaluate(lm_eval=LmEval(tasks=("odd",), python=python))
    with pytest.raises(PotstillError, match="lm-eval failed on the student: RuntimeError: no more room"):
        measure_lm_eval(evaluate, broken, None, Silent())
    assert measure_lm_eval(Evaluate(), broken, None, Silent()) is None


def test_files_that_are_not_lm_evals(tmp_path: Path) -> None:
    with pytest.raises(PotstillError, match="0 files of results"):
        read_results(tmp_path)
    path = tmp_path / "results_now.json"
    for text in ("{", "[]", '{"results": {"a": 1}}', '{"results": {"a": {"acc,none": 1}}, "n-samples": {"a": 1}}'):
        path.write_text(text)
        with pytest.raises(PotstillError, match=r"results_now\.json is not what lm-eval writes"):
            read_results(tmp_path)
    path.write_text('{"results": {"a": {"alias": "a", "acc,none": 0.5, "acc_stderr,none": "N/A"}}}')
    (score,) = read_results(tmp_path).scores.values()
    assert (score.value, score.error, score.n, score.by_document) == (0.5, None, 0, {})
    # Values of documents that do not make the mean, as of a weighted metric, are not its values.
    rows = [{"doc_id": at, "metrics": ["acc"], "acc": 1.0} for at in range(4)]
    (tmp_path / "samples_a_now.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_results(tmp_path).scores["a", "acc"].by_document == {}


def test_it_is_told_in_the_report(tmp_path: Path, python: Path) -> None:
    found = measure(tmp_path, python, "hot_or_cold", "odd", limit=16)
    figures = {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in found.figures.items()}
    section = lm_eval_section({"figures": figures, "lm_eval": found.facts})
    assert section is not None
    assert "Run by lm-eval 0.4.13, as a program of its own, on the first 16 documents of each task." in section["says"]
    first, *_, last = section["rows"]
    assert (first["title"], first["meaning"], first["n"]) == ("hot_or_cold: acc", "Higher is better", "16")
    assert [one["value"] for one in first["cells"]] == ["0.88", "0.62"]
    assert first["retention"]["value"] == "71.4 %"
    assert (last["meaning"], last["retention"]["value"]) == ("Lower is better", "none")
    assert lm_eval_section({"figures": {}}) is None
    assert figure_title("retention.lm_eval.hot_or_cold.acc_norm") == "retention of acc norm in lm-eval's hot_or_cold"
    assert figure_title("teacher.lm_eval.odd.perplexity") == "perplexity in lm-eval's odd of the teacher"
    assert format_value("retention.lm_eval.odd.acc", 0.5) == "50.0 %"
