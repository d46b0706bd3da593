"""What the doctor can find in a log, what it concludes of each exchange, and the report as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Reason = Literal[
    "unanswered", "failed", "truncated", "empty", "invalid_tool_call", "invalid_json", "old_tools", "contradictory",
    "refused", "filtered", "personal_data", "duplicate", "near_duplicate", "outvoted", "same_prompt",
]  # fmt: skip
REASONS: tuple[Reason, ...] = get_args(Reason)
BIT: Mapping[Reason, int] = {reason: 1 << at for at, reason in enumerate(REASONS)}
# The teacher would answer these better today; the others say that the exchange itself is not wanted.
ASK_AGAIN: tuple[Reason, ...] = REASONS[: REASONS.index("refused")]
LEFT_OUT: tuple[Reason, ...] = REASONS[REASONS.index("refused") :]

WORDS: Mapping[Reason, str] = {
    "unanswered": "no answer in the log",
    "failed": "the request failed",
    "truncated": "the answer is cut off",
    "empty": "the answer is empty",
    "invalid_tool_call": "a tool call that its tools don't allow",
    "invalid_json": "not the JSON that was asked for",
    "old_tools": "tools that have changed since",
    "contradictory": "short answers to one prompt contradict each other, and none has a majority",
    "refused": "the model declined",
    "filtered": "a filter stopped the answer",
    "personal_data": "personal data in it",
    "duplicate": "says the same as an earlier one",
    "near_duplicate": "says nearly the same as an earlier one",
    "outvoted": "contradicts most answers to its prompt",
    "same_prompt": "its prompt is used or asked again in another row",
}

Verdict = Literal["usable", "ask_again", "left_out"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
DECIDING: Mapping[Verdict, tuple[Reason, ...]] = {"usable": (), "ask_again": ASK_AGAIN, "left_out": LEFT_OUT}


def bits(reasons: tuple[Reason, ...]) -> int:
    """The reasons as one number."""
    return sum(BIT[reason] for reason in reasons)


def verdict_of(flags: int) -> Verdict:
    """What is to be done with an exchange that has these reasons against it."""
    if not flags:
        return "usable"
    return "left_out" if flags & bits(LEFT_OUT) else "ask_again"


def reasons_of(flags: int) -> tuple[Reason, ...]:
    """The reasons of a number that `bits` made."""
    return tuple(reason for reason in REASONS if flags & BIT[reason])


@dataclass(frozen=True, slots=True)
class Found:
    """How many exchanges something holds for, and the places of the first few."""

    count: int
    places: tuple[str, ...]


ToolChangeKind = Literal["changed", "renamed", "removed", "added", "side_by_side"]


@dataclass(frozen=True, slots=True)
class ToolChange:
    """One way in which the tools of a job are not the same throughout."""

    name: str
    kind: ToolChangeKind
    place: str  # the first exchange after the change; of side_by_side, of the later version
    time_s: float | None
    before: int  # exchanges with the older version; of "added", those without
    after: int
    to: str | None = None  # the new name


@dataclass(frozen=True, slots=True)
class PersonalFound:
    """Personal data of one kind: in how many exchanges, where first, and how the first finds look, masked."""

    count: int
    places: tuple[str, ...]
    masked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The exchanges of a job that share a template, and what can be done with them."""

    beginning: str  # how the template begins, for a person to know it again
    exchanges: int
    place: str
    reasons: Mapping[Reason, Found]  # what was found, one exchange maybe several times
    verdicts: Mapping[Verdict, int]  # what is concluded, each exchange once
    because: Mapping[Verdict, Mapping[Reason, int]]  # the reasons of those with that verdict
    tools: tuple[ToolChange, ...]


@dataclass(frozen=True, slots=True)
class JobReport:
    """What there is to say of the exchanges under one key."""

    key: str | None
    exchanges: int
    first_s: float | None
    last_s: float | None
    models: Mapping[str, int]
    parts: tuple[Part, ...]  # more than one where different jobs share the key
    varied: bool  # system prompts differ so much from one exchange to the next that no parts can be told
    asked_in: Mapping[str, int]  # language of the user's words: exchanges; "?" where it cannot be told
    answered_in: Mapping[str, int]
    personal: Mapping[str, PersonalFound]
    contacts: Mapping[str, Found]  # values like personal data that so many exchanges share that they are nobody's

    @property
    def mixed(self) -> bool:
        """Whether the key stands for more than one job."""
        return len(self.parts) > 1


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The doctor's report on a log."""

    files: tuple[str, ...]
    form: str
    exchanges: int
    unreadable: Mapping[str, Found]  # by reason
    jobs: tuple[JobReport, ...]  # the largest first

    def total(self, verdict: Verdict) -> int:
        """How many exchanges of all jobs have this verdict."""
        return sum(part.verdicts[verdict] for job in self.jobs for part in job.parts)
