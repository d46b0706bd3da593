"""What both sides train on: the real teacher's answers as batches of tokens, a 15-layer student, stored signals."""

import json
from pathlib import Path

import potstill
from potstill.collect.score import score_answers
from potstill.config import Recipe, SampledSignals, load_recipe
from potstill.models.fetch import fetch
from potstill.models.local import LocalModel
from potstill.progress import Silent
from potstill.records import Message
from potstill.rendering import Example, render_prompt
from potstill.students.build import save_student
from potstill.students.layers import keep_layers
from potstill.terms import clear

QUICKSTART = Path(potstill.__file__).parent / "data" / "quickstart" / "recipe.yaml"
LAYERS = 15
STEPS = {"short": 5, "long": 3}
SEQUENCES = {"short": 8, "long": 4}
LONG_TOKENS = 1024
ANSWER_TOKENS = 104
TURNS = 14  # more than fill a long sequence


def prepared(folder: Path) -> Path:
    """Make the data once: `batches.json` (with the path of the teacher), `student/`, `signals/`."""
    done = folder / "batches.json"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe(QUICKSTART)
    source = fetch(recipe.teacher.model or "", recipe.teacher.sha256)
    teacher = LocalModel.load(source, recipe.teacher.model)
    batches = {"short": _short(teacher), "long": _long(teacher)}
    examples = {
        f"{shape}-{step}-{row}": one
        for shape, steps in batches.items()
        for step, batch in enumerate(steps)
        for row, one in enumerate(batch)
    }
    _score(recipe, teacher, examples, folder / "signals")
    last = int(teacher.network.config.num_hidden_layers) - 1
    keep_layers(teacher.network, [round(index * last / (LAYERS - 1)) for index in range(LAYERS)])
    save_student(teacher, folder / "student")
    written = {
        "teacher": str(source),
        "batches": {
            shape: [[{"tokens": one.tokens, "prompt_length": one.prompt_length} for one in batch] for batch in steps]
            for shape, steps in batches.items()
        },
    }
    done.write_text(json.dumps(written), encoding="utf-8")
    return folder


def _score(recipe: Recipe, teacher: LocalModel, examples: dict[str, Example], folder: Path) -> None:
    score_answers(teacher, clear(recipe), examples, SampledSignals(kind="sampled", draws=50), folder, Silent())


def _words() -> list[str]:
    lines = (QUICKSTART.parent / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    return [str(json.loads(line)["prompt"]) for line in lines]


def _answers(teacher: LocalModel, words: list[str], seed: int) -> list[Example]:
    """Prompt and answer of one question a word."""
    ask = "What is a {}? Say what it looks like, where it is found and what people use it for."
    prompts = [render_prompt(teacher.tokenizer, [Message("user", ask.format(word))]) for word in words]
    seeds = [seed + number for number in range(len(words))]
    made = teacher.generate(prompts, max_new_tokens=ANSWER_TOKENS, temperature=0.7, seeds=seeds)
    return [Example((*prompt, *one.tokens), len(prompt)) for prompt, one in zip(prompts, made, strict=True)]


def _short(teacher: LocalModel) -> list[list[Example]]:
    size = SEQUENCES["short"]
    found = _answers(teacher, _words()[: size * STEPS["short"]], 1)
    return [found[start : start + size] for start in range(0, len(found), size)]


def _long(teacher: LocalModel) -> list[list[Example]]:
    """Conversations of several turns, cut at the length; all after the first question is learned from."""
    count = SEQUENCES["long"] * STEPS["long"]
    turns = _answers(teacher, _words()[100 : 100 + count * TURNS], 1000)
    found = []
    for number in range(count):
        own = turns[number * TURNS : (number + 1) * TURNS]
        tokens = [token for turn in own for token in turn.tokens][:LONG_TOKENS]
        assert len(tokens) == LONG_TOKENS, "the answers came out shorter than the long sequences need"
        found.append(Example(tuple(tokens), own[0].prompt_length))
    size = SEQUENCES["long"]
    return [found[start : start + size] for start in range(0, count, size)]
