"""Several teachers in a plan: which of them does how much, and each of them in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from potstill.config import FIRST, Recipe, called
from potstill.records import Prompt


@dataclass(frozen=True, slots=True)
class Part:
    """A teacher's part in the prompts, as shares of all of them from 0 to 1."""

    takes_part: float
    writes: float


def parts(recipe: Recipe, prompts: Sequence[Prompt]) -> dict[str, Part]:
    """Each teacher's part, by name. Raises RecipeError for a prompt that no teacher takes part in."""
    by_tag = {tag: recipe.shares(tag) for tag in {prompt.tag for prompt in prompts}}
    found = {}
    for name in recipe.teachers:
        taking = sum(name in by_tag[prompt.tag] for prompt in prompts)
        writing = sum(name == next(iter(by_tag[prompt.tag])) for prompt in prompts)
        found[name] = Part(taking / len(prompts), writing / len(prompts))
    return found


def describe_teachers(recipe: Recipe, prompts: Sequence[Prompt], folders: Mapping[str, Path | None]) -> tuple[str, ...]:
    """One line a teacher and one on their tokenizers, where there are several."""
    if not recipe.more_teachers:
        return ()
    from potstill.terms import decide_each

    verdicts, shares = decide_each(recipe), parts(recipe, prompts)
    lines = []
    for name, one in recipe.teachers.items():
        mine = shares[name]
        tags = f", tags {', '.join(one.tags)}" if one.tags else ""
        idle = "; NO PROMPT IS ITS OWN" if not mine.takes_part else ""
        lines.append(
            f"{called(name)}: {one.model}, weight {one.weight:g}{tags}; takes part in "
            f"{round(mine.takes_part * len(prompts)):,} prompts and writes the answers to "
            f"{round(mine.writes * len(prompts)):,}; verdict {verdicts[name].verdict}, rule {verdicts[name].rule}{idle}"
        )
    return (*lines, *_tokenizers(folders))


def _tokenizers(folders: Mapping[str, Path | None]) -> list[str]:
    """How the teachers' tokenizers differ from the first one's, where all are here."""
    known = {name: folder for name, folder in folders.items() if folder is not None}
    if len(known) < len(folders):
        return ["teachers' tokenizers: compared once all of them are fetched, which the first run does"]
    from potstill.students.compatibility import compare_tokenizers, load_tokenizer

    first, lines = load_tokenizer(known[FIRST]), []
    for name, folder in list(known.items())[1:]:
        found = compare_tokenizers(first, load_tokenizer(folder))
        if not found.same_vocabulary:
            lines.append(
                f"teacher {name}: its tokenizer has {found.student_vocabulary:,} tokens and the first teacher's "
                f"{found.teacher_vocabulary:,}, of which {found.differing_tokens:,} differ: THE RUN WILL REFUSE IT"
            )
        elif not found.same_chat_template:
            lines.append(f"teacher {name}: its chat template is not the first one's, in which it will get the prompts")
    return lines or ["teachers' tokenizers: the same vocabulary and chat template"]
