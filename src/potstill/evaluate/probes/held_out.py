"""Probes that held-out answers are by themselves: what the teacher's answers do there, and the student's do not."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from potstill.evaluate.probes.behaviours import abstains, asks_back
from potstill.evaluate.probes.fields import Occurrence, UsualFields, occurrences, shown
from potstill.evaluate.probes.found import Found, Pair
from potstill.evaluate.probes.rates import Case, Comparison
from potstill.evaluate.probes.shapes import FORMS, Form, form_of, read_json
from potstill.texts.refusals import refusal


def held_out_probes(pairs: Sequence[Pair], trained_forms: Mapping[Form, int], rare: float) -> list[Found]:
    """All probes of these answers, whether or not they have cases.

    `trained_forms` counts the forms of the answers that were trained on; a form below the share `rare` of them counts
    as not seen. Empty: not known, and no form does.
    """
    abstaining = _behaviour("abstention", "lost_abstention", "new_refusals", pairs, _declines)
    asking = [one for one in pairs if not one.teacher_refused]
    clarifying = _behaviour(
        "clarifying",
        "lost_clarifying",
        "new_clarifying",
        asking,
        lambda text, _: asks_back(text) and not abstains(text),
    )
    return [_fields(pairs), abstaining, clarifying, _forms(asking), _rare_forms(asking, trained_forms, rare)]


def _declines(text: str, refused: bool) -> bool:
    return refused or abstains(text)


def _behaviour(
    name: str, lost: str, new: str, pairs: Sequence[Pair], does: Callable[[str, bool], bool]
) -> Found:  # fmt: skip
    cases = [
        Case(one.prompt_hash, does(one.teacher, one.teacher_refused), does(one.student, False)) for one in pairs
    ]  # fmt: skip
    examples = [
        pair.example("lost" if case.teacher else "new")
        for case, pair in sorted(zip(cases, pairs, strict=True), key=lambda both: not both[0].teacher)
        if case.teacher is not case.student
    ]
    parts: dict[str, int] = {}
    if name == "abstention":  # a refusal and "I don't know" are told apart as far as their words do
        refusing = {"teacher": [one.teacher for one in pairs], "student": [one.student for one in pairs]}
        parts = {
            f"{role}_refuses": sum(refusal(text) is not None for text in texts) for role, texts in refusing.items()
        }
        parts["teacher_refuses"] = sum(one.teacher_refused or refusal(one.teacher) is not None for one in pairs)
    return Found(name, Comparison(cases), lost, new, examples, parts)


def _fields(pairs: Sequence[Pair]) -> Found:
    """Fields of JSON answers: "lost" is an empty one that the student fills, "new" a filled one that it empties."""
    values = [(one, read_json(one.teacher), read_json(one.student)) for one in pairs]
    usual = UsualFields.of(theirs for _, theirs, _ in values if theirs is not None)
    cases: list[Case] = []
    examples: list[dict[str, str]] = []
    kinds: Counter[str] = Counter()
    for pair, theirs, ours in values:
        if theirs is None or ours is None:
            continue
        found = list(occurrences(theirs, ours, usual))
        cases += [
            Case(pair.prompt_hash, one.kind != "filled", (one.kind != "filled") is not one.changed) for one in found
        ]
        kinds.update(one.kind for one in found)
        kinds.update(f"{one.kind}_changed" for one in found if one.changed)
        if invented := [one for one in found if one.changed and one.kind != "filled"]:
            examples.append(pair.example("invented: " + ", ".join(map(_told, invented[:5]))))
    answers = {
        "teacher_json": sum(theirs is not None for _, theirs, _ in values),
        "both_json": sum(theirs is not None and ours is not None for _, theirs, ours in values),
    }
    return Found(
        "empty_fields", Comparison(cases), "invented_fields", "dropped_fields", examples, {**answers, **dict(kinds)}
    )


def _told(one: Occurrence) -> str:
    value = str(one.student)
    return f"{shown(one.place)} = {value if len(value) <= 60 else value[:59] + '…'}"


def _forms(pairs: Sequence[Pair]) -> Found:
    """Answers in a set form: "lost" where the student's has another, "new" where only the student's has one."""
    forms = [(form_of(one.teacher), form_of(one.student)) for one in pairs]
    cases = [
        Case(pair.prompt_hash, theirs != "prose", ours == theirs if theirs != "prose" else ours != "prose")
        for pair, (theirs, ours) in zip(pairs, forms, strict=True)
    ]
    return Found("format", Comparison(cases), "lost_format", "new_format", _lost_forms(pairs, forms), _by_form(forms))


def _rare_forms(pairs: Sequence[Pair], trained: Mapping[Form, int], rare: float) -> Found:
    """Answers in a form that training hardly saw: "lost" where the student's has another."""
    total = sum(trained.values())
    unseen = {form for form in FORMS if total and trained.get(form, 0) < rare * total}
    some = [(one, (form_of(one.teacher), form_of(one.student))) for one in pairs]
    some = [(one, forms) for one, forms in some if forms[0] in unseen]
    forms = [both for _, both in some]
    cases = [Case(one.prompt_hash, True, theirs == ours) for one, (theirs, ours) in some]
    parts: dict[str, Any] = {"rare_below": rare, "trained": dict(trained), **_by_form(forms)}
    return Found(
        "rare_format", Comparison(cases), "lost_rare_format", None, _lost_forms([one for one, _ in some], forms), parts
    )


def _lost_forms(pairs: Sequence[Pair], forms: Sequence[tuple[Form, Form]]) -> list[dict[str, str]]:
    return [
        pair.example(f"{theirs} became {ours}")
        for pair, (theirs, ours) in zip(pairs, forms, strict=True)
        if theirs not in ("prose", ours)
    ]


def _by_form(forms: Sequence[tuple[Form, Form]]) -> dict[str, dict[str, int]]:
    counts = Counter(theirs for theirs, _ in forms)
    lost = Counter(theirs for theirs, ours in forms if theirs != ours)
    return {
        "forms": {form: counts[form] for form in FORMS if form in counts},
        "lost": {form: lost[form] for form in FORMS if form in lost},
    }
