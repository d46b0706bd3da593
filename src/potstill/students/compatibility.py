"""How teacher and student differ in vocabulary and chat template, read from their tokenizers; no weights are loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import RecipeError
from potstill.records import Message
from potstill.rendering import render_prompt


@dataclass(frozen=True, slots=True)
class Compatibility:
    """What two tokenizers have in common. Where `differing_tokens` is not 0, distributions have to be aligned first."""

    teacher_vocabulary: int  # tokens, added ones included
    student_vocabulary: int
    differing_tokens: int  # texts that only one has, or that have another id in the other
    same_chat_template: bool
    teacher_has_template: bool
    student_has_template: bool

    @property
    def same_vocabulary(self) -> bool:
        """Whether every id means the same text to both."""
        return self.differing_tokens == 0

    def lines(self) -> list[str]:
        """The comparison in words."""
        if self.same_vocabulary:
            vocabulary = f"the same {self.teacher_vocabulary:,} tokens"
        else:
            vocabulary = (
                f"teacher {self.teacher_vocabulary:,} tokens, student {self.student_vocabulary:,}; "
                f"{self.differing_tokens:,} differ, so train it with train.cross_tokenizer: true and collect.signals "
                "{kind: full}, or with cross_entropy on the answers' text"
            )
        if not self.student_has_template:
            template = "the student has none; prompts are joined as plain text for it"
        elif not self.teacher_has_template:
            template = "only the student has one"
        else:
            template = "the same" if self.same_chat_template else "different; each model gets prompts in its own"
        return [f"vocabulary: {vocabulary}", f"chat template: {template}"]


def compare(teacher_folder: Path, student_folder: Path) -> Compatibility:
    """Compare the tokenizers of two model folders. Raises RecipeError where a folder has none."""
    return compare_tokenizers(load_tokenizer(teacher_folder), load_tokenizer(student_folder))


def compare_tokenizers(teacher: Any, student: Any) -> Compatibility:
    """Compare two loaded tokenizers."""
    ours, theirs = teacher.get_vocab(), student.get_vocab()
    differing = sum(ours.get(token) != theirs.get(token) for token in ours.keys() | theirs.keys())
    first, second = getattr(teacher, "chat_template", None), getattr(student, "chat_template", None)
    return Compatibility(len(ours), len(theirs), differing, first == second, first is not None, second is not None)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder. Raises RecipeError where there is none that transformers can read."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(f"{folder}: its tokenizer cannot be read ({str(error).splitlines()[0]})") from None


def prompt_lengths(folder: Path, conversations: Sequence[Sequence[Message]]) -> list[int]:
    """How many tokens each conversation takes in a model's own rendering."""
    tokenizer = load_tokenizer(folder)
    return [len(render_prompt(tokenizer, messages)) for messages in conversations]


def scratch_parameters(config: Mapping[str, Any], vocabulary: int | None) -> int:
    """Number of weights of a model made from a config, counted without memory for them.

    Raises RecipeError where transformers cannot make it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = dict(config)
    kind = settings.pop("model_type", None)
    if vocabulary is not None:
        settings.setdefault("vocab_size", vocabulary)
    try:
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings))
    except (ValueError, TypeError, KeyError) as error:
        raise RecipeError(f"student.config: transformers cannot make this model ({error})") from None
    return sum(weight.numel() for weight in network.parameters())
