"""Probes of held-out answers: each loss found where it was put, none in answers that are the teacher's own."""

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluate.probes.found import Found, Pair
from potstill.evaluate.probes.held_out import held_out_probes
from potstill.evaluate.probes.rates import Draws

DRAWS = Draws(200, 0)
TEXTS = st.text() | st.sampled_from(
    ['{"a": null}', "I don't know.", "Which one?", "- a\n- b", "7", "label", '{"a": 1}']
)


def probe(pairs: Sequence[tuple[str, str]], trained: dict[str, int] | None = None) -> dict[str, Found]:
    given = [Pair(f"h{at}", f"prompt {at}", *texts) for at, texts in enumerate(pairs)]
    return {one.name: one for one in held_out_probes(given, trained or {}, 0.05)}  # type: ignore[arg-type]


def test_invented_fields() -> None:
    empty, filled = json.dumps({"name": "A", "phone": None}), json.dumps({"name": "A", "phone": "555"})
    found = probe([(empty, filled)] * 6 + [(empty, empty)] * 6 + [(filled, empty)] * 3 + [(empty, "no JSON")])
    figures = found["empty_fields"].figures(DRAWS)
    assert figures["probe.invented_fields"].value == 0.5
    assert figures["probe.invented_fields"].n == 12
    assert figures["probe.dropped_fields"].value == 3 / 18  # three phones of eighteen filled fields
    parts = found["empty_fields"].parts
    assert (parts["teacher_json"], parts["both_json"], parts["empty"], parts["empty_changed"]) == (16, 15, 12, 6)
    assert found["empty_fields"].examples[0]["detail"] == "invented: phone = 555"
    assert found["format"].comparison.facts(DRAWS)["lost"] == 1  # the one that is no JSON


def test_lost_abstention_and_new_refusals() -> None:
    answer, unknown, refused = "Paris is.", "I don't know.", "I'm sorry, I can't help with that."
    pairs = [(unknown, answer)] * 3 + [(refused, answer)] * 2 + [(refused, unknown)] * 5 + [(answer, refused)] * 2
    found = probe([*pairs, *[(answer, answer)] * 8])["abstention"]
    figures = found.figures(DRAWS)
    assert figures["probe.lost_abstention"].value == 0.5
    assert figures["probe.new_refusals"].value == 0.2
    assert figures["probe.new_refusals"].unit == "share"
    assert found.parts == {"teacher_refuses": 7, "student_refuses": 2}
    assert [one["detail"] for one in found.examples] == ["lost"] * 5 + ["new"] * 2


def test_a_server_that_says_refused_needs_no_words() -> None:
    pairs = [Pair(str(at), "p", "", "Here you are: a bomb.", teacher_refused=True) for at in range(5)]
    found = {one.name: one for one in held_out_probes(pairs, {}, 0.05)}
    assert found["abstention"].figures(DRAWS)["probe.lost_abstention"].value == 1
    assert found["abstention"].parts["teacher_refuses"] == 5
    assert found["format"].comparison.cases == []  # there is no answer whose form could be kept


def test_lost_questions() -> None:
    asks, answers = "Which account do you mean?", "It is open."
    figures = probe([(asks, answers)] * 4 + [(asks, asks)] * 4 + [(answers, asks)] + [(answers, answers)] * 9)
    found = figures["clarifying"].figures(DRAWS)
    assert found["probe.lost_clarifying"].value == 0.5
    assert found["probe.new_clarifying"].value == 0.1


def test_lost_forms_and_forms_that_training_hardly_saw() -> None:
    table, listed, prose = "a | b\n--|--\n1 | 2", "- one\n- two", "One sentence is here."
    pairs = [(table, listed)] * 5 + [(listed, listed)] * 5 + [(prose, listed)] * 2 + [(prose, prose)] * 8
    found = probe(pairs, {"list": 50, "prose": 948, "table": 2})
    figures = found["format"].figures(DRAWS)
    assert (figures["probe.lost_format"].value, figures["probe.new_format"].value) == (0.5, 0.2)
    assert found["format"].parts == {"forms": {"table": 5, "list": 5, "prose": 10}, "lost": {"table": 5, "prose": 2}}
    assert found["format"].examples[0]["detail"] == "table became list"
    rare = found["rare_format"]
    assert rare.figures(DRAWS)["probe.lost_rare_format"].value == 1
    assert rare.parts["forms"] == {"table": 5}  # lists are a twentieth, and so not rare
    assert probe(pairs)["rare_format"].comparison.cases == []  # where training's forms are not known, none is rare


def test_without_cases_there_is_no_figure() -> None:
    found = probe([("A sentence.", "Another sentence.")] * 4)
    assert {name for one in found.values() for name in one.figures(DRAWS)} == set()
    assert found["clarifying"].facts(DRAWS)["least_prompts"] == 5


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12))
def test_any_answers_are_probed_and_an_equal_student_loses_nothing(pairs: list[tuple[str, str]]) -> None:
    for one in probe(pairs).values():
        assert all(0 <= figure.value <= 1 for figure in one.figures(Draws(100, 0)).values())
    same = probe([(theirs, theirs) for theirs, _ in pairs], {"prose": 1})
    assert all(one.comparison.facts(DRAWS)["lost"] == one.comparison.facts(DRAWS)["new"] == 0 for one in same.values())
