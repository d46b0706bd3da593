"""Judges of held-out answers: both orders, nonsense that is counted, length, scores, agreement, people's labels."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.answers import Answer
from potstill.config import Recipe, read_accept, recipe_from
from potstill.errors import RecipeError
from potstill.evaluate.decision import decide_asked
from potstill.evaluate.judging import PAIRS, Judged, judge_models
from potstill.evaluate.judging.labels import read_rows
from potstill.evaluate.judging.questions import CRITERIA, Pair, pair_questions
from potstill.evaluate.judging.reading import read_sheet
from potstill.progress import Silent
from potstill.records import JudgeReplies, Message, Prompt, content_hash
from potstill.rendering import Example
from potstill.store.prompts import write_prompts

SERVER = {"base_url": "http://127.0.0.1:9/v1", "model": "one"}
Texts = tuple[str, str]  # teacher's, student's
Judge = Callable[[str, str], str]  # what it says to answers A and B


def recipe(*names: str, **judge: Any) -> Recipe:
    judges = [{"endpoint": SERVER, "name": name} for name in names or ("one",)]
    data = {
        "name": "t",
        "teacher": {"endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "big"}},
        "prompts": {"source": "unused.jsonl"},
        "student": {"kind": "scratch", "config": {"model_type": "llama"}},
        "evaluate": {"judge": {"judges": judges, **judge}, "resamples": 200},
    }
    return recipe_from(data, Path("/"), "test")


def asked_of(judges: dict[str, Judge], seen: list[Prompt] | None = None, score: Judge | None = None) -> Any:
    """Stands for the asking: each judge is a function of the two answers, or of one answer and an empty text."""

    def ask(name: str, questions: Sequence[Prompt], *, calibration: bool = False) -> JudgeReplies:
        texts = []
        for one in questions:
            user = one.messages[-1].content
            if seen is not None:
                seen.append(one)
            if found := re.search(r"<answer_A>\n(.*)\n</answer_A>\n\n<answer_B>\n(.*)\n</answer_B>", user, re.DOTALL):
                texts.append(judges[name](found[1], found[2]))
            else:
                alone = re.search(r"<answer>\n(.*)\n</answer>", user, re.DOTALL)
                assert alone is not None
                assert score is not None
                texts.append(score(alone[1], ""))
        problems = tuple("truncated" if text.endswith("CUT") else "" for text in texts)
        return JudgeReplies(tuple(texts), problems, {"requests": len(texts), "cost_usd": None})

    return ask


def likes_good(a: str, b: str) -> str:
    """A judge that knows what is good, and calls a tie where both are or neither is."""
    good = ["good" in one for one in (a, b)]
    return "Verdict: tie" if good[0] == good[1] else f"I see.\nVerdict: {'A' if good[0] else 'B'}"


def judged(
    folder: Path, texts: Sequence[Texts], ask: Any, made: Recipe | None = None, baseline: Sequence[str] | None = None
) -> Judged:
    """What the judges say of these answers, one prompt each."""
    prompts = [
        Prompt((Message("user", f"question {at}"),), "holdout", f"f:{at}", content_hash(["q", at]))
        for at in range(len(texts))
    ]
    write_prompts(prompts, folder / "prompts.parquet")
    held = [
        Answer(f"k{at}", prompt.hash, 0, prompt.messages[0].content, teacher, Example((1, 2), 1))
        for at, (prompt, (teacher, _)) in enumerate(zip(prompts, texts, strict=True))
    ]
    answered = {"student": [student for _, student in texts]}
    if baseline is not None:
        answered["initial_student"] = list(baseline)
    return judge_models(made or recipe(), folder, held, answered, ask, Silent())


# ---- Orders.


def test_both_orders_are_asked_and_a_steady_judge_is_believed(tmp_path: Path) -> None:
    texts = [("good t", "s")] * 10 + [("t", "good s")] * 20 + [("t", "s")] * 5 + [("same", "same ")] * 5
    seen: list[Prompt] = []
    found = judged(tmp_path, texts, asked_of({"one": likes_good}, seen))
    assert len(seen) == 2 * 35  # equal answers are a tie that nobody is asked about
    assert seen[0].messages[0].content.startswith(CRITERIA)
    assert "<conversation>\n[user]\nquestion 0\n</conversation>" in seen[0].messages[1].content
    first, second = (one.messages[1].content.index("good t") for one in seen[:2])
    assert first < second
    figure = found.figures["judge.win_rate"]
    assert figure.value == pytest.approx((20 + 5 / 2 + 5 / 2) / 40)
    assert figure.n == 40
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < figure.value < figure.high
    assert found.figures["judge.position_consistency"].value == 1
    assert found.figures["judge.unusable"].value == 0
    assert found.facts["outcomes"] == {"student": 20, "teacher": 10, "tie": 10, "no_verdict": 0}
    assert found.facts["identical"] == 5


def test_a_judge_that_goes_by_place_says_nothing(tmp_path: Path) -> None:
    found = judged(tmp_path, [("good t", "s")] * 30, asked_of({"one": lambda a, b: "Verdict: A"}))
    assert found.figures["judge.win_rate"].value == 0.5
    assert found.figures["judge.position_consistency"].value == 0
    assert found.facts["judges"][0]["orders"] == {
        "both_usable": 30, "same": 0, "first_place": 30, "second_place": 0, "half_a_tie": 0,
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(["Verdict: A", "Verdict: B", "Verdict: tie", "hm"])] * 2), min_size=1))
def test_whatever_is_said_a_verdict_takes_both_orders_and_a_mirrored_judge_mirrors_it(said: list[Texts]) -> None:
    pairs = [Pair(f"p{at}", "", "t", "s") for at in range(len(said))]
    questions = pair_questions("student", pairs, None)
    identical = np.zeros(len(pairs), dtype=bool)

    def verdicts(replies: list[str]) -> np.ndarray:
        texts = JudgeReplies(tuple(replies), ("",) * len(replies), {})
        return read_sheet(questions, texts, ["student", "teacher"], len(pairs), 10).preferences("student", identical)

    found = verdicts([one for both in said for one in both])
    for (first, second), verdict in zip(said, found, strict=True):
        if "hm" in (first, second):
            assert np.isnan(verdict)
        elif (first, second) in (("Verdict: B", "Verdict: A"), ("Verdict: A", "Verdict: B")):
            assert verdict == float(first == "Verdict: B")
        else:
            assert verdict == 0.5
    turned = verdicts([one for first, second in said for one in (second, first)])
    np.testing.assert_array_equal(turned, 1 - found)


# ---- Nonsense.


def test_nonsense_is_counted_and_shown_and_bounds_say_what_it_could_hide(tmp_path: Path) -> None:
    def sometimes(a: str, b: str) -> str:
        if "odd" in a + b:
            return "Well, both have their charm."
        return "Verdict: A CUT" if "long" in a + b else likes_good(a, b)

    texts = [("t", "good s")] * 30 + [("t", "odd s")] * 6 + [("t", "long s")] * 4
    found = judged(tmp_path, texts, asked_of({"one": sometimes}))
    assert found.figures["judge.win_rate"].value == 1
    assert found.figures["judge.win_rate"].n == 30
    assert found.figures["judge.unusable"].value == pytest.approx(10 / 40)
    assert found.facts["outcomes"]["no_verdict"] == 10
    assert found.facts["bounds"] == [0.75, 1]
    silent = found.facts["judges"][0]["unusable"]
    assert [(one["why"], one["replies"]) for one in silent] == [("no verdict in its last line", 12), ("truncated", 8)]
    assert [one["example"] for one in silent] == ["Well, both have their charm.", "Verdict: A CUT"]
    assert found.facts["judges"][0]["replies"] == 80


def test_a_judge_that_says_nothing_but_nonsense_gives_no_figure_but_that(tmp_path: Path) -> None:
    found = judged(tmp_path, [("t", "s")] * 25, asked_of({"one": lambda a, b: "blah"}))
    assert set(found.figures) == {"judge.unusable"}
    assert found.figures["judge.unusable"].value == 1
    low = found.figures["judge.unusable"].low
    assert low is not None
    assert 0.8 < low < 1  # twenty-five prompts show no certainty
    asked = read_accept({"judge.win_rate": ">= 0.4"}, (), ("judge.win_rate",))
    decision = decide_asked(found.figures, asked, (), ("judge.win_rate",), unmeasured=found.unmeasured)
    assert decision["word"] == "inconclusive"
    assert decision["reason"] == (
        "judged win rate was not measured: 50 of the judges' 50 replies end without the verdict or score asked for"
    )
    controlled = "0 prompts with a verdict, and a curve takes 20"
    assert found.unmeasured["length_controlled_win_rate"] == controlled
    assert found.facts["bounds"] == [0, 1]


# ---- Length.


def test_a_judge_of_length_alone_is_seen_through(tmp_path: Path) -> None:
    """It prefers the longer answer, the surer the more it is longer, whatever stands in either."""
    draw = np.random.default_rng(0)
    texts = [(f"{at:03}" + "t" * 97, f"{at:03}" + "s" * int(97 + d)) for at, d in enumerate(draw.normal(30, 40, 300))]

    def longer(a: str, b: str) -> str:
        luck = int(content_hash(sorted([a, b]))[:8], 16) / 16**8
        sure = 1 / (1 + np.exp(-2.5 * np.tanh(abs(len(a) - len(b)) / 40)))
        return f"Verdict: {'A' if (len(a) > len(b)) == (luck < sure) else 'B'}"

    found = judged(tmp_path, texts, asked_of({"one": longer}))
    wins, controlled = (found.figures[f"judge.{name}"] for name in ("win_rate", "length_controlled_win_rate"))
    assert wins.low is not None
    assert wins.low > 0.6
    assert controlled.low is not None
    assert controlled.high is not None
    assert controlled.low < 0.5 < controlled.high
    assert controlled.high < wins.value
    assert found.facts["length"]["slope"] == pytest.approx(2.5, abs=1)
    assert found.facts["length"]["mean_difference"] == pytest.approx(30, abs=8)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([("t", "good s")] * 19, "19 prompts with a verdict, and a curve takes 20"),
        ([("t", "good s")] * 25, "length explains nothing"),
        ([("t", "good s" + "x" * at) for at in range(25)], "every pair has the same verdict"),
    ],
)
def test_where_length_cannot_be_held_still_it_is_said(tmp_path: Path, texts: list[Texts], words: str) -> None:
    found = judged(tmp_path, texts, asked_of({"one": likes_good}))
    assert "judge.length_controlled_win_rate" not in found.figures
    assert words in found.facts["length"]["declined"]


# ---- Scores, baselines, several judges.


def by_length(answer: str, _: str) -> str:
    return f"Score: {min(len(answer), 10)}"


def test_scores_of_teacher_and_student_and_what_is_kept(tmp_path: Path) -> None:
    texts = [("t" * 8, "s" * 4), ("t" * 10, "s" * 5)] * 15
    made = recipe(rubric="Long answers are good.", pairwise=False)
    found = judged(tmp_path, texts, asked_of({}, score=by_length), made)
    assert found.figures["judge.rubric_score"].value == pytest.approx(4.5)
    assert found.figures["teacher.judge.rubric_score"].value == pytest.approx(9)
    kept = found.figures["retention.judge.rubric_score"]
    assert (kept.value, kept.low, kept.high) == pytest.approx((0.5, 0.5, 0.5))
    assert "judge.win_rate" not in found.figures
    assert made.evaluate.judged == (
        "judge.rubric_score", "judge.unusable", "teacher.judge.rubric_score", "retention.judge.rubric_score",
    )  # fmt: skip
    assert set(found.figures) <= set(made.evaluate.judged)


def test_a_score_that_one_of_the_two_lacks_counts_for_neither(tmp_path: Path) -> None:
    def picky(answer: str, _: str) -> str:
        return "no" if answer.startswith("x") else by_length(answer, "")

    made = recipe(rubric="Long answers are good.", pairwise=False)
    found = judged(tmp_path, [("t" * 8, "s" * 4)] * 20 + [("t", "xxxxx")] * 5, asked_of({}, score=picky), made)
    assert found.figures["teacher.judge.rubric_score"].value == pytest.approx(8)
    assert found.figures["teacher.judge.rubric_score"].n == 20
    assert found.figures["judge.unusable"].value == pytest.approx(5 / 50)


def test_baselines_are_judged_only_where_the_recipe_asks(tmp_path: Path) -> None:
    texts, baseline = [("t", "good s")] * 20, ["good, truly"] * 10 + ["bad"] * 10
    ask = asked_of({"one": likes_good})
    assert not [name for name in judged(tmp_path, texts, ask, None, baseline).figures if name.startswith("initial")]
    made = recipe(baselines=True)
    found = judged(tmp_path, texts, ask, made, baseline)
    assert found.figures["initial_student.judge.win_rate"].value == 0.75
    assert found.figures["judge.win_rate"].value == 1
    assert set(found.figures) <= set(made.evaluate.judged)


def test_two_judges_are_averaged_and_their_agreement_is_told(tmp_path: Path) -> None:
    texts = [("t", f"good s {at}") for at in range(20)] + [(f"good t {at}", "s") for at in range(20)]

    def contrary(a: str, b: str) -> str:
        turned = likes_good(b, a) if " 1" in a + b else likes_good(a, b)
        return "mumble" if a.endswith(" 5") or b.endswith(" 5") else turned

    found = judged(tmp_path, texts, asked_of({"one": likes_good, "other": contrary}), recipe("one", "other"))
    # 11 of 20 on each side hold " 1": there the two contradict each other, and the mean is half.
    assert found.figures["judge.win_rate"].value == pytest.approx((9 + 11 / 2 + 11 / 2) / 40)
    # Where both speak they agree on 8 and differ on 11 of each 19, both sides being as frequent: kappa = 2 · 8/19 - 1.
    assert found.figures["judge.kappa"].value == pytest.approx(2 * 8 / 19 - 1, abs=1e-9)
    assert found.figures["judge.kappa"].n == 38
    assert found.figures["judge.alpha"].value == pytest.approx(2 * 8 / 19 - 1, abs=0.03)
    assert [one["win_rate"]["value"] for one in found.facts["judges"]] == pytest.approx([0.5, 0.5])
    assert found.figures["judge.unusable"].value == pytest.approx(4 / 160)


# ---- People.


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def likes_student(a: str, b: str) -> str:
    """A judge that is blind to what is good in one pair of four, and takes the student's side there."""
    if "tricky" in a + b:
        return f"Verdict: {'A' if a.startswith('s') else 'B'}"
    return likes_good(a, b)


def test_labels_of_this_runs_pairs_correct_the_win_rate(tmp_path: Path) -> None:
    """The pairs file that a run leaves, labelled by people, is what the next start calibrates with."""
    texts = [("good t tricky" if at % 4 == 0 else f"t{at}", f"s{at} good" if at % 4 else "s") for at in range(120)]
    ask = asked_of({"one": likes_student})
    naive = judged(tmp_path, texts, ask).figures["judge.win_rate"]
    assert naive.value == 1
    rows = [json.loads(line) for line in (tmp_path / PAIRS).read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 120
    assert "[user]\nquestion 0" in rows[0]["conversation"]
    firsts = [row["answer_a"].startswith("s") for row in rows]
    assert 30 < sum(firsts) < 90  # blind: the student stands first about as often as second
    for row in rows[:60]:
        row["preference"] = "a" if "good" in row["answer_a"] else "B"
    labels = write(tmp_path / "labels.jsonl", rows)
    made = recipe(calibration=str(labels))
    found = judged(tmp_path, texts, ask, made)
    assert found.facts["calibration"]["method"] == "prediction-powered"
    assert (found.facts["calibration"]["own_pairs"], found.facts["calibration"]["unlabelled"]) == (60, 60)
    fixed = found.figures["judge.corrected_win_rate"]
    assert fixed.value == pytest.approx(0.75)
    assert fixed.n == 60
    assert fixed.low is not None
    assert fixed.high is not None
    assert fixed.low < 0.75 < fixed.high < 0.95
    assert found.facts["calibration"]["same_verdict"] == 0.75
    assert set(found.figures) <= set(made.evaluate.judged)
    # Pairs of an earlier student are other pairs, and are asked about as the file tells them.
    seen: list[Prompt] = []
    later = [(teacher, student.replace("s", "S", 1)) for teacher, student in texts]
    told = judged(tmp_path, later, asked_of({"one": likes_student}, seen), made).facts["calibration"]
    assert (told["own_pairs"], told["other_pairs"]) == (0, 60)
    assert "<conversation>\n[user]\nquestion 0\n</conversation>" in seen[-120].messages[1].content
    # By their ids alone, without the answers: the same.
    alone = write(tmp_path / "ids.jsonl", [{"pair": r["pair"], "preference": r["preference"]} for r in rows[:60]])
    again = judged(tmp_path, texts, ask, recipe(calibration=str(alone)))
    assert again.figures["judge.corrected_win_rate"] == fixed


def test_labels_of_other_pairs_correct_by_how_the_judge_errs(tmp_path: Path) -> None:
    """A judge that is wrong about one pair in five: 74 of 100 seen means 90 of 100."""

    def errs(a: str, b: str) -> str:
        said = likes_good(b, a) if "err" in a + b else likes_good(a, b)
        return "Verdict: A" if "place" in a + b else said

    texts = [(f"t{at}", f"good s{at}{' err' if at % 5 == 0 else ''}") for at in range(90)]
    texts += [(f"good t{at}{' err' if at % 5 == 0 else ''}", f"s{at}") for at in range(10)]
    rows = [
        {"prompt": f"another {at}", "answer_a": f"good {at}{' err' if at % 5 == 0 else ''}", "answer_b": f"bad {at}",
         "preference": "a"}
        for at in range(40)
    ]  # fmt: skip
    rows += [{"prompt": "x", "answer_a": "good place", "answer_b": "bad place", "preference": "tie"}]
    made = recipe(calibration=str(write(tmp_path / "labels.jsonl", rows)))
    found = judged(tmp_path, texts, asked_of({"one": errs}), made)
    assert found.figures["judge.win_rate"].value == pytest.approx(0.74)
    assert found.facts["calibration"]["method"] == "Rogan-Gladen"
    assert found.facts["calibration"]["other_pairs"] == 41
    fixed = found.figures["judge.corrected_win_rate"]
    assert fixed.value == pytest.approx(0.9)
    naive = found.figures["judge.win_rate"]
    assert fixed.low is not None
    assert fixed.high is not None
    assert naive.low is not None
    assert naive.high is not None
    assert fixed.high - fixed.low > naive.high - naive.low  # it carries the labels' uncertainty too


def test_too_few_labels_and_a_judge_without_worth_correct_nothing(tmp_path: Path) -> None:
    texts = [("t", f"good s{at}") for at in range(30)]
    few = [{"prompt": f"q{at}", "answer_a": "good", "answer_b": "bad", "preference": "a"} for at in range(5)]
    made = recipe(calibration=str(write(tmp_path / "few.jsonl", few)))
    found = judged(tmp_path, texts, asked_of({"one": likes_good}), made)
    assert (
        "5 labelled prompts with a verdict, and nothing is corrected by fewer" in found.facts["calibration"]["declined"]
    )
    assert "judge.corrected_win_rate" not in found.figures
    wrong = [
        {"prompt": f"q{at}", "answer_a": "good", "answer_b": "bad", "preference": "ab"[at % 2]} for at in range(30)
    ]
    made = recipe(calibration=str(write(tmp_path / "wrong.jsonl", wrong)))
    found = judged(tmp_path, texts, asked_of({"one": likes_good}), made)
    assert "nothing to correct" in found.facts["calibration"]["declined"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"pair": "x", "preference": "left"}\n', r"labels.jsonl:1: preference: 'left' is none of a, b and tie"),
        ('{"pair": "x", "preference": null}\n', "no row has a preference; write a, b or tie"),
        ('\n{"prompt": "p", "answer_a": "x", "preference": "a"}\n', r"labels.jsonl:2: needs prompt, answer_a and"),
        ("no json\n", r"labels.jsonl:1"),
        (None, "no such file"),
    ],
)
def test_a_file_of_labels_that_cannot_be_used(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "labels.jsonl"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=words) as caught:
        read_rows(path)
    assert "\n" not in str(caught.value)


def test_labels_may_be_a_table(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("prompt,answer_a,answer_b,preference\nwhat,x,y,TIE\nwhat,x,y,\n", encoding="utf-8")
    rows, unlabelled = read_rows(path)
    assert ([one.prefers_a for one in rows], unlabelled) == ([0.5], 1)
    assert rows[0].place.endswith("labels.csv:2")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_file_gives_preferences_or_one_line(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.jsonl"
        path.write_text(text, encoding="utf-8", errors="replace")
        with pytest.raises(RecipeError) as caught:
            read_rows(path)
    assert "\n" not in str(caught.value).replace(text, "")
