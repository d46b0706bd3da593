"""A log of an owner's making, with each fault that the doctor knows planted in it at known places."""

import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

SUPPORT = "You answer customers of a garden shop. Be friendly, be short, and never promise a date of delivery."
INVOICES = "Extract number, total and currency of the invoice that the user gives, as one JSON object and nothing else."
MANNERS = ("How do I", "Where can I", "When should I", "Why must I", "Which way would I", "What if I", "Can I", "May I",
           "Is it wise to", "Tell me how to", "Please explain how to", "Would you ever")  # fmt: skip
TASKS = (
    "sharpen",
    "store",
    "oil",
    "repair",
    "return",
    "order",
    "paint",
    "hang",
    "clean",
    "carry",
    "assemble",
    "insure",
)
THINGS = ("a spade", "the hedge trimmer", "my wheelbarrow", "an old watering can", "two flower pots", "the lawn mower",
          "a rain barrel", "the greenhouse door", "some bamboo canes", "a pruning saw", "her garden bench",
          "the hose")  # fmt: skip
DETAILS = ("before winter comes", "when the ground is wet", "without special tools", "if it is rusty already",
           "in a very small shed", "after many years of use", "while on holiday", "with children around")  # fmt: skip
ADVICE = ("Start by cleaning it with a dry cloth", "It is best kept in a dry place", "A little oil does wonders",
          "Our workshop can do that for a small fee", "The manual has a page about it", "Take care of your fingers",
          "Wait for a dry day", "Two people do it more easily", "Use a soft brush and warm water",
          "We have the part in stock", "Tighten the screws every spring", "Ask for help at the counter")  # fmt: skip


def tool(name: str, *required: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {one: {"type": "string"} for one in required},
        "required": [*required],
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


class Log:
    """Rows of a chat log, and what was planted on which line."""

    def __init__(self, seed: int = 0) -> None:
        self.rows: list[dict[str, Any]] = []
        self.planted: defaultdict[str, set[int]] = defaultdict(set)
        self._random = random.Random(seed)
        self._asked: set[str] = set()

    def question(self) -> str:
        while True:
            question = " ".join(self._random.choice(one) for one in (MANNERS, TASKS, THINGS, DETAILS)) + "?"
            if question not in self._asked:
                self._asked.add(question)
                return question

    def answer(self) -> str:
        return ". ".join(self._random.sample(ADVICE, 4)) + "."

    def add(
        self, *faults: str, question: str | None = None, answer: Any = None, system: str | None = SUPPORT,
        finish: str = "stop", job: str = "support", tools: list[Any] | None = None, **more: Any,
    ) -> int:  # fmt: skip
        """One exchange; returns its line. `answer` may be a whole message."""
        message = answer if isinstance(answer, dict) else {"content": self.answer() if answer is None else answer}
        system_turn = [{"role": "system", "content": system}] if system else []
        asked = {"role": "user", "content": question if question is not None else self.question()}
        request = {"model": "big", "messages": [*system_turn, asked]} | ({"tools": tools} if tools else {})
        row = {
            "time": 1_760_000_000 + 60 * len(self.rows),
            "metadata": {"feature": job},
            "request": request,
            "response": {"choices": [{"message": {"role": "assistant"} | message, "finish_reason": finish}]},
        }
        self.rows.append(row | more)
        for fault in faults:
            self.planted[fault].add(len(self.rows))
        return len(self.rows)

    def write(self, path: Path) -> Path:
        path.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        return path


def call(name: str, /, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


def clean_log(rows: int = 150) -> Log:
    log = Log(seed=1)
    for _ in range(rows):
        log.add()
    return log


def faulty_log(seed: int = 0) -> Log:
    """Some 450 exchanges of four jobs; every fault stands in a job of its own kind of work."""
    log = Log(seed)
    for _ in range(120):
        log.add()
    _plant_bad_answers(log)
    _plant_repeats(log)
    _plant_personal_data(log)
    _plant_another_job(log)
    _plant_tool_drift(log)
    _plant_contradictions(log)
    return log


def _plant_bad_answers(log: Log) -> None:
    for _ in range(3):
        log.add("truncated", finish="length")
        log.add("empty", answer="  ")
        log.add("refused", answer="I'm sorry, but I can't help with that request.")
        log.add("filtered", answer="", finish="content_filter")
        log.add("failed", response={"error": {"message": "overloaded"}}, status=503)
        log.add("unanswered", response=None)
    wanted = {"type": "json_object"}
    log.add("invalid_json", answer="Here you are: {", request={"model": "big", "response_format": wanted, "messages": [
        {"role": "system", "content": SUPPORT}, {"role": "user", "content": log.question()}]})  # fmt: skip


def _plant_repeats(log: Log) -> None:
    for _ in range(3):
        question, answer = " ".join(log.question() for _ in range(3)), log.answer()
        log.add(question=question, answer=answer)
        log.add("duplicate", question=question.upper(), answer=answer)
        log.add("near_duplicate", question=f"{question} Thanks.", answer=answer)
    # An answer that was cut off and asked again needs no asking: its prompt is there already.
    question = log.question()
    log.add("truncated", "same_prompt", question=question, finish="length")
    log.add(question=question)


def _plant_personal_data(log: Log) -> None:
    log.add("personal_data", question=f"{log.question()} I am anna.berg@potstill-mail.dev")
    log.add("personal_data", question=f"{log.question()} Call me: +49 30 901820")
    log.add("personal_data", question=f"{log.question()} Card 4242 4242 4242 4242")
    log.add("personal_data", question=f"{log.question()} IBAN DE89 3704 0044 0532 0130 00")
    log.add("personal_data", answer="Our server saw you at 8.8.8.8. " + log.answer())
    log.add("personal_data", answer="Your number is 078-05-1120. " + log.answer())
    for _ in range(25):  # the firm's own address is nobody's in particular
        log.add(answer=log.answer() + " Or write to garden@potstill-shop.dev")


def _plant_another_job(log: Log) -> None:
    for number in range(40):
        total = json.dumps({"number": number, "total": 7 * number + 5, "currency": "EUR"})
        text = f"Rechnung Nr. {number}, {log.question()} {log.answer()} {7 * number + 5} EUR"
        log.add("another_job", system=INVOICES, question=text, answer=total)


def _plant_tool_drift(log: Log) -> None:
    old, new = tool("find_part", "name"), tool("find_part", "name", "model")
    for number in range(40):
        log.add("old_tools", job="parts", tools=[old, tool("price_of", "part")],
                answer=call("find_part", name=f"part {number} {log.question()}"))  # fmt: skip
    for number in range(40):
        log.add(job="parts", tools=[new, tool("get_price", "part")],
                answer=call("find_part", name=f"part {number} {log.question()}", model="M1"))  # fmt: skip
    log.add(
        "invalid_tool_call", job="parts", tools=[new, tool("get_price", "part")], answer=call("find_part", name="x")
    )
    log.add("invalid_tool_call", job="parts", tools=[new, tool("get_price", "part")], answer=call("no_such", name="x"))


def _plant_contradictions(log: Log) -> None:
    labels = ("tools", "plants", "returns", "other")
    label = {"job": "labels", "system": "Name the one class of the customer's question."}
    for at in range(60):
        log.add(answer=labels[at % 4], **label)
    question = log.question()
    for at, answer in enumerate(("tools", "tools", "tools", "plants")):
        faults = ("outvoted",) if answer == "plants" else ("duplicate",) if at else ()
        log.add(*faults, question=question, answer=answer, **label)
    question = log.question()
    log.add("contradictory", question=question, answer="returns", **label)
    log.add("contradictory", "same_prompt", question=question, answer="other", **label)
    # Two longer answers to one prompt are two ways to say it.
    question = log.question()
    log.add(question=question)
    log.add(question=question)
