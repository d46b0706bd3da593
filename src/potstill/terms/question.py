"""The question that `potstill terms check` asks the gate: a teacher and facts, without a recipe file around them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from potstill.config import Recipe, recipe_from
from potstill.errors import RecipeError
from potstill.terms.decision import Decision
from potstill.terms.gate import decide

_ORIGIN = "potstill terms check"
_SHOWN = (
    "verdict", "cleared", "rule", "layers", "obligations", "missing_facts", "reason", "remedy", "warnings", "document",
    "version_or_date", "section", "url", "teacher",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """A teacher as a recipe names it, and what else the gate looks at; what is not given here is not said."""

    model: str  # a reference; with an endpoint the model's name there
    endpoint: str | None = None  # base URL
    license: str | None = None
    student: str | None = None  # a reference, or "pruned"; None: a model of no family
    use: Sequence[str] = ()  # key=value, as under `use:`
    rules: Sequence[Path] = ()  # files and folders of own rules

    def recipe(self) -> Recipe:
        """The smallest recipe with this teacher. Raises RecipeError naming the field where something is wrong."""
        served = {"base_url": self.endpoint, "model": self.model}
        teacher: dict[str, Any] = {"model": self.model} if self.endpoint is None else {"endpoint": served}
        data = {
            "name": "student",
            "teacher": {**teacher, "license": self.license},
            "use": _facts(self.use),
            "terms": {"rules": [str(path) for path in self.rules]},
            "prompts": {"source": "prompts.jsonl"},  # never read
            "student": self._student(),
        }
        return recipe_from(data, Path.cwd(), _ORIGIN)

    def _student(self) -> Mapping[str, Any]:
        match self.student:
            case None:
                made = {"kind": "scratch", "config": {"model_type": "llama"}}
                return made if self.endpoint is None else {**made, "tokenizer": "path:."}
            case "pruned":
                return {"kind": "pruned", "keep_layers": 1}
            case reference:
                return {"kind": "model", "model": reference}


def answer(question: Question) -> Decision:
    """What the gate says. Raises RecipeError for a teacher, facts or rules that cannot be read."""
    return decide(question.recipe())


def as_data(decision: Decision) -> dict[str, Any]:
    """The decision for other programs; each layer by name, rule and verdict."""
    found = {name: value for name, value in asdict(decision).items() if name in _SHOWN}
    layers = [dict(zip(("name", "rule", "verdict"), layer, strict=True)) for layer in decision.layers]
    return {**found, "layers": layers}


def in_words(decision: Decision) -> list[str]:
    """The decision line by line: what the gate says, every layer, what is asked for, warnings."""
    lines = [decision.message, "layers:"]
    lines += [f"  {name}: {verdict}, rule {rule}" for name, rule, verdict in decision.layers]
    for title, given in (("obligations", decision.obligations), ("asked for", decision.missing_facts)):
        lines += [f"{title}: {', '.join(given)}"] if given else []
    return lines + [f"warning: {warning}" for warning in decision.warnings]


def _facts(use: Sequence[str]) -> dict[str, Any]:
    """The section `use:` from key=value; a dot goes into a section, as in permission.file."""
    facts: dict[str, Any] = {}
    for given in use:
        key, equals, value = given.partition("=")
        *parents, last = key.removeprefix("use.").split(".")
        if not equals or not last:
            raise RecipeError(f"--use {given}: write it as key=value, for example --use commercial=false")
        section: Any = facts
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise RecipeError(f"--use {given}: {parent} was given as a value before")
        try:
            section[last] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise RecipeError(f"--use {given}: the value is not valid YAML") from None
    return facts
