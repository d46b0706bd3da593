"""What judges are asked about held-out answers: two side by side in both orders, or one for a score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from potstill.records import Message, Prompt, content_hash
from potstill.texts.verdicts import PAIR_FORM, SCORE_FORM

CRITERIA: Final = (
    "Which of the two answers is of more use to whoever asked? A good answer is right, does what was asked in the form "
    "that was asked for, and leaves out what does not help."
)


@dataclass(frozen=True, slots=True)
class Pair:
    """The teacher's answer to a prompt and that of another model, or any two that a person compared."""

    prompt_hash: str
    conversation: str
    teacher: str
    other: str

    @property
    def id(self) -> str:
        """What judge_pairs.jsonl calls the pair: it changes with either answer."""
        return content_hash([self.prompt_hash, self.teacher, self.other])[:16]

    @property
    def identical(self) -> bool:
        """Whether there is nothing to compare: a tie without a question."""
        return self.teacher.strip() == self.other.strip()


Kind = Literal["teacher_first", "other_first", "score"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question to a judge, and where its reply belongs: which model's answer, of what number."""

    model: str
    at: int
    kind: Kind
    prompt: Prompt


def as_conversation(messages: Sequence[Message]) -> str:
    """The turns as a judge reads them."""
    return "\n".join(f"[{one.role}]\n{one.content}" for one in messages)


def pair_questions(model: str, pairs: Sequence[Pair], rubric: str | None) -> list[Question]:
    """Both orders of each pair whose answers differ."""
    return [
        Question(model, at, kind, _asked(pair.prompt_hash, system, _pair(pair.conversation, *answers)))
        for system in ((rubric or CRITERIA).strip() + PAIR_FORM,)
        for at, pair in enumerate(pairs)
        if not pair.identical
        for kind, answers in _orders(pair)
    ]


def score_questions(model: str, pairs: Sequence[Pair], texts: Sequence[str], rubric: str, scale: int) -> list[Question]:
    """One question for each of a model's answers."""
    system = rubric.strip() + SCORE_FORM.format(scale=scale)
    return [
        Question(model, at, "score", _asked(pair.prompt_hash, system, _single(pair.conversation, text)))
        for at, (pair, text) in enumerate(zip(pairs, texts, strict=True))
    ]


def _orders(pair: Pair) -> tuple[tuple[Kind, tuple[str, str]], ...]:
    return ("teacher_first", (pair.teacher, pair.other)), ("other_first", (pair.other, pair.teacher))


def _asked(prompt_hash: str, system: str, user: str) -> Prompt:
    return Prompt((Message("system", system), Message("user", user)), "holdout", "", prompt_hash)


def _pair(conversation: str, first: str, second: str) -> str:
    return (
        f"<conversation>\n{conversation}\n</conversation>\n\n"
        f"<answer_A>\n{first}\n</answer_A>\n\n<answer_B>\n{second}\n</answer_B>"
    )


def _single(conversation: str, answer: str) -> str:
    return f"<conversation>\n{conversation}\n</conversation>\n\n<answer>\n{answer}\n</answer>"
