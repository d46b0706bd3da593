"""Training towards several teachers: each is mixed with the others on the answers that it takes part in."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from potstill.answers import Answer
from potstill.models.local import LocalModel
from potstill.models.prefix import hidden_states
from potstill.objectives import mixture, packed
from potstill.objectives.gradients import Part
from potstill.objectives.mixture import Member, Place
from potstill.objectives.transform import logit_transform
from potstill.store.signals import SignalStore
from potstill.train.targets import Batch, FrozenHead, Target, Targets, bound_samples, bound_top_k

# The teachers of an answer by name, with their weights, which sum to 1.
SharesOf = Callable[[Answer], Mapping[str, float]]


def _places(answers: Sequence[Answer], shares: SharesOf) -> dict[str, tuple[list[int], Place]]:
    return mixture.places([one.example.answer_length for one in answers], [shares(one) for one in answers])


def live_mixture_targets(
    teachers: Mapping[str, LocalModel], shares: SharesOf, parts: Sequence[Part], temperature: float, student_width: int
) -> Targets:
    """Any objectives against the mixture of teachers that run beside the student, each on the answers it takes part in.

    `student_width` is the number of rows of the student's head.
    """
    heads = {name: one.network.get_output_embeddings() for name, one in teachers.items()}
    frozen = {name: FrozenHead(head) for name, head in heads.items()}
    transforms = {name: logit_transform(one.network.config) for name, one in teachers.items()}
    width = min(student_width, *(head.weight.shape[0] for head in heads.values()))

    def member(name: str, rows: list[int], place: Place, batch: Batch) -> Member:
        head, chosen = frozen[name], torch.tensor(rows, device=batch.tokens.device)
        mine = place.positions.to(batch.tokens.device)
        order = {row: at for at, row in enumerate(rows)}
        at = torch.tensor([order[row] for row in batch.rows[mine].tolist()], device=batch.tokens.device)
        with torch.no_grad():
            network = teachers[name].network.to(batch.tokens.device)
            (states,) = hidden_states(network, batch.tokens[chosen], batch.prefix)
            states = states[at, batch.columns[mine]]

        def outputs(low: int, high: int) -> Tensor:
            with torch.no_grad():
                return head(states[low:high])

        return Member(place, outputs, transforms[name])

    def bind(batch: Batch) -> Target:
        found = _places(batch.answers, shares)
        members = [member(name, rows, place, batch) for name, (rows, place) in found.items()]
        return Target(packed.dense_loss(parts, mixture.mixture_logits(members, width, temperature), temperature))

    return bind


def sampled_mixture_targets(stores: Mapping[str, tuple[SignalStore, int]], shares: SharesOf) -> Targets:
    """Forward KL from the samples of each teacher, by name with its store and its draws; `mixture.mixed_samples`."""

    def bind(batch: Batch) -> Target:
        found = _places(batch.answers, shares)
        parts = [
            (place, bound_samples(*stores[name], [batch.answers[row].key for row in rows]))
            for name, (rows, place) in found.items()
        ]
        mixed, device = mixture.mixed_samples(parts, batch.supervised), batch.tokens.device
        on_device = packed.Samples(
            mixed.ids.to(device), mixed.weights.to(device), mixed.starts, mixed.entropy.to(device)
        )
        return Target(packed.sampled_loss(on_device))

    return bind


def top_k_mixture_targets(stores: Mapping[str, SignalStore], shares: SharesOf, parts: Sequence[Part]) -> Targets:
    """Objectives over each teacher's stored lists, added with the teachers' weights; `mixture.mixed_top_k_loss`."""

    def bind(batch: Batch) -> Target:
        found = _places(batch.answers, shares)
        lists = [
            (place, bound_top_k(stores[name], [batch.answers[row].key for row in rows], batch.tokens.device))
            for name, (rows, place) in found.items()
        ]
        return Target(mixture.mixed_top_k_loss(parts, lists))

    return bind
