"""The held-out answers of a run, in the tokens of whoever is measured on them, and how the two models are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.aligned import AlignedAnswers, align_answers
from potstill.answers import Answer, load_answers
from potstill.config import FIRST, Recipe
from potstill.errors import PotstillError
from potstill.evaluate.cross_tokenizer import measure_aligned
from potstill.evaluate.fidelity import Positions, measure
from potstill.evaluate.mixture import Mixture
from potstill.models.local import LocalModel
from potstill.models.reference import without_place
from potstill.progress import Reporter


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The answers in the student's tokens and in the teacher's, and the teacher where distributions can be compared.

    `comparison` goes into evaluation.json: whether the tokenizers are the "same", "different" or "unknown" (an
    endpoint's), and the unit that fidelity is measured at: "token", "group", or None where there is no fidelity.
    """

    answers: Sequence[Answer]
    teacher_answers: Sequence[Answer]
    comparison: dict[str, Any]
    teacher: LocalModel | Mixture | None
    aligned: AlignedAnswers | None = None

    def measure(self, student: LocalModel) -> Positions:
        """The student, or a baseline with its tokenizer, against the teacher."""
        if self.aligned is not None and isinstance(self.teacher, LocalModel):
            return measure_aligned(student, self.teacher, self.aligned)
        return measure(student, self.teacher, [one.example for one in self.answers])

    def prompts(self, count: int) -> dict[str, list[tuple[int, ...]]]:
        """The first few distinct prompts in each model's own tokens."""
        found = {}
        for role, answers in (("student", self.answers), ("teacher", self.teacher_answers)):
            by_hash: dict[str, tuple[int, ...]] = {}
            for one in answers:
                by_hash.setdefault(one.prompt_hash, one.example.tokens[: one.example.prompt_length])
            found[role] = list(by_hash.values())[:count]
        return found

    def bytes_per_token(self) -> dict[str, float]:
        """How many bytes of the teacher's answers a token of each model writes on average."""
        written = sum(len(one.text.encode()) for one in self.answers)
        sides = (("student", self.answers), ("teacher", self.teacher_answers))
        return {role: written / sum(one.example.answer_length for one in answers) for role, answers in sides}


def held_out(
    recipe: Recipe, folder: Path, teachers: Mapping[str, LocalModel], student: LocalModel, reporter: Reporter
) -> HeldOut:
    """Load the held-out answers; where the tokenizers differ, align them, or say why that cannot be done.

    `teachers` are the local ones by name, none of an endpoint. Several have one tokenizer and are measured against as
    the mixture that takes part in each prompt.
    """
    teacher = teachers.get(FIRST)
    same = teacher is not None and teacher.tokenizer.get_vocab() == student.tokenizer.get_vocab()

    def load(model: LocalModel, exact: bool) -> list[Answer]:
        uses = recipe.collect.uses
        return load_answers(folder, "holdout", uses, model.tokenizer, model.context_tokens, exact_tokens=exact)

    answers = load(student, same)
    if teacher is None:
        return HeldOut(answers, (), {"tokenizers": "unknown", "unit": None}, None)
    if same and len(teachers) > 1:
        return _mixed(recipe, teachers, answers)
    if same:
        return HeldOut(answers, answers, {"tokenizers": "same", "unit": "token"}, teacher)
    theirs = load(teacher, True)
    try:
        if len(teachers) > 1:
            raise PotstillError("several teachers are mixed token by token, which takes a student with their tokenizer")
        aligned = align_answers(answers, theirs, student.tokenizer, teacher.tokenizer)
    except PotstillError as error:
        reporter.say(f"no fidelity across these tokenizers: {error}")
        return HeldOut(answers, theirs, {"tokenizers": "different", "unit": None, "reason": str(error)}, None)
    for line in aligned.lines():
        reporter.say(f"cross-tokenizer: {line}")
    comparison = {"tokenizers": "different", "unit": "group", **aligned.facts()}
    ours, theirs = ([getattr(one, side) for one in aligned.answers] for side in ("student", "teacher"))
    return HeldOut(ours, theirs, comparison, teacher, aligned)


def _mixed(recipe: Recipe, teachers: Mapping[str, LocalModel], answers: Sequence[Answer]) -> HeldOut:
    shares = [recipe.shares(one.tag) for one in answers]
    described = {
        name: {
            "reference": without_place(one.model or ""), "weight": one.weight, "tags": list(one.tags),
            "answers": sum(name in found for found in shares),
        }
        for name, one in recipe.teachers.items()
    }  # fmt: skip
    comparison = {"tokenizers": "same", "unit": "token", "teachers": described}
    return HeldOut(answers, answers, comparison, Mixture(teachers, shares))
