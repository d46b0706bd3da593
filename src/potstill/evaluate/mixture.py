"""Several teachers as what a student is measured against: the mixture that it was trained towards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from potstill.models.local import LocalModel
from potstill.models.prefix import answer_states
from potstill.objectives.mixture import Member, Place, mixture_logits, places
from potstill.objectives.transform import logit_transform
from potstill.rendering import Example


@dataclass(frozen=True, slots=True)
class Mixture:
    """Loaded teachers by name, and for each held-out answer, in their order, the weights of those that take part."""

    teachers: Mapping[str, LocalModel]
    shares: Sequence[Mapping[str, float]]

    def log_probabilities(
        self, start: int, examples: Sequence[Example], student_width: int
    ) -> Callable[[int, int], Tensor]:
        """Of the answers from number `start` on: log P (n, V) of any of their positions low..high."""
        found = places([one.answer_length for one in examples], self.shares[start : start + len(examples)])
        heads = [one.network.get_output_embeddings().weight.shape[0] for one in self.teachers.values()]
        members = [self._member(name, [examples[row] for row in rows], place) for name, (rows, place) in found.items()]
        return mixture_logits(members, min(student_width, *heads))

    def _member(self, name: str, examples: Sequence[Example], place: Place) -> Member:
        model = self.teachers[name]
        pad, lengths = model.tokenizer.pad_token_id or 0, [one.prompt_length for one in examples]
        states = answer_states(model.network, [one.tokens for one in examples], lengths, pad)
        head = model.network.get_output_embeddings()

        def outputs(low: int, high: int) -> Tensor:
            with torch.inference_mode():
                logits: Tensor = head(states[low:high])
                return logits

        return Member(place, outputs, logit_transform(model.network.config))
