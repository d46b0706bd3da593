"""What one row of a log says, whatever its form: a request, its answer where there is one, and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Form = Literal["chat_log", "fine_tuning", "litellm", "batch"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One logged request with one answer, in the words of the chat completions interface.

    A request that was answered several times (`n`, or a choice list) is as many exchanges, told apart by `choice`.
    """

    place: str  # file and line, for a person to open
    messages: tuple[Mapping[str, Any], ...]  # of the request, as logged; the answer is not among them
    answer: str | None  # None where the log has none; "" beside tool calls, or where the model said nothing
    tool_calls: tuple[Mapping[str, Any], ...] = ()  # of the answer
    reasoning: str = ""
    finish_reason: str = ""  # as the server words it; "" where it does not say, "cut" for a stream without an end
    error: str = ""  # the server's words for a request that failed
    tools: tuple[Mapping[str, Any], ...] = ()
    response_format: Mapping[str, Any] | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)  # temperature, top_p, max_tokens, seed, …, where given
    model: str | None = None
    usage: Mapping[str, int | None] = field(default_factory=dict)  # by the names of `Reply`; of the first choice only
    time_s: float | None = None  # since the epoch
    job: str | None = None  # what the log gives for grouping; None where it gives nothing
    choice: int = 0

    @property
    def answered(self) -> bool:
        """Whether the log holds an answer, be it an empty one."""
        return self.answer is not None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that is no exchange: where it stands and what is wrong with it."""

    place: str
    reason: str


class RowFault(Exception):
    """Raised inside the readers for a row that is no exchange; the reader of the file turns it into `Unreadable`."""


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str:
    """The value where it is a text, else an empty one."""
    return value if isinstance(value, str) else ""
