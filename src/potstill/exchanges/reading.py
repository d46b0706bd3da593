"""Reads log files of any form that Potstill knows, found by looking at their first rows or as the caller says."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from potstill.errors import PotstillError
from potstill.exchanges.batch import read_batch
from potstill.exchanges.chat import read_chat_log
from potstill.exchanges.fine_tuning import read_fine_tuning
from potstill.exchanges.litellm import read_litellm
from potstill.exchanges.record import FORMS, Exchange, Form, RowFault, Unreadable, mapping
from potstill.exchanges.rows import log_files, rows

AnyForm = TypeVar("AnyForm", bound=str)

_LOOKED_AT = 20

_Reader = Callable[[Mapping[str, Any], str, str | None], Iterator[Exchange]]


def known_form(name: str | None) -> Form | None:
    """The form of this name. Raises PotstillError for another name."""
    return form_named(name, FORMS)


def form_named(name: str | None, forms: Sequence[AnyForm]) -> AnyForm | None:
    """The one of `forms` that has this name; None for None. Raises PotstillError for another name."""
    found = next((form for form in forms if form == name), None)
    if found is None and name is not None:
        raise PotstillError(f"{name}: no form of logs; there are {', '.join(forms)}")
    return found


def form_of_row(row: Mapping[str, Any]) -> Form | None:
    """The form of one row by its keys, None where it has none of them."""
    if "call_type" in row and ("startTime" in row or "request_id" in row):
        return "litellm"
    if "custom_id" in row and ("body" in row or "response" in row or "error" in row):
        return "batch"
    answered = {"response", "response_body", "completion", "choices"} & row.keys()
    nested = any(isinstance(row.get(name), Mapping | str) for name in ("request", "request_body", "body", "kwargs"))
    if nested or (answered and {"messages", "input"} & row.keys()):
        return "chat_log"
    if isinstance(row.get("input"), Mapping) and "messages" in mapping(row.get("input")):
        return "chat_log"
    return "fine_tuning" if isinstance(row.get("messages"), list) else None


def find_form(files: Sequence[Path]) -> Form | None:
    """The form that most of a log's first rows have, None where none of them has one."""
    votes: Counter[Form] = Counter()
    for file in files:
        for found in islice((one for one in rows(file) if isinstance(one, tuple)), _LOOKED_AT):
            form = form_of_row(found[1])
            if form is not None:
                votes[form] += 1
        if votes:
            break
    return votes.most_common(1)[0][0] if votes else None


def read_exchanges(
    paths: Sequence[Path], form: Form | None = None, job_key: str | None = None
) -> Iterator[Exchange | Unreadable]:
    """Every exchange of these files or folders in their order, and every row that is none, with the reason.

    `form` None looks at the first rows. `job_key` is the dotted name of the field that holds the job, such as
    `metadata.feature`; without it the usual places are looked at. Raises PotstillError where a file cannot be read or
    its form is not known.
    """
    files = log_files(paths)
    known = form or find_form(files)
    if known is None:
        names = ", ".join(str(path) for path in paths)
        raise PotstillError(
            f"{names}: not a log that is known; wanted are chat completions with their requests, fine-tuning files, "
            "LiteLLM logs or batch files, one JSON object a line"
        )
    if known == "batch":
        yield from read_batch(files, job_key)
        return
    read = _reader(known)
    for file in files:
        for found in rows(file):
            if isinstance(found, Unreadable):
                yield found
                continue
            try:
                yield from read(found[1], found[0], job_key)
            except RowFault as fault:
                yield Unreadable(found[0], str(fault))


def _reader(form: Form) -> _Reader:
    match form:
        case "fine_tuning":
            return read_fine_tuning
        case "litellm":
            return read_litellm
        case _:
            return read_chat_log
