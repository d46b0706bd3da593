"""How closely a student follows its teacher on held-out answers, position by position."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from potstill.evaluate.calibration import calibration_error
from potstill.evaluate.mixture import Mixture
from potstill.models import prefix
from potstill.models.local import LocalModel
from potstill.objectives.dense import forward_kl, total_variation
from potstill.objectives.head import chunk_positions
from potstill.records import Figure
from potstill.rendering import Example
from potstill.stats import Interval, cluster_mean, exponential

_ROWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Positions:
    """Values at every supervised position, answers one after the other; lengths (answers,) cuts them apart.

    A position is a token, or across tokenizers a group of tokens that write the same bytes: then `size_bytes` is there.
    Without a local teacher of the same vocabulary, or one that could be aligned, only `log_q` is there.
    """

    lengths: NDArray[np.int64]
    log_q: NDArray[np.float64]  # the student's log-probability of what the teacher wrote
    log_p: NDArray[np.float64] | None = None
    kl: NDArray[np.float64] | None = None
    agree: NDArray[np.float64] | None = None  # 1 where both rank the same token (or class of tokens) first
    total_variation: NDArray[np.float64] | None = None
    unmatched_l1: NDArray[np.float64] | None = None  # across tokenizers only
    size_bytes: NDArray[np.float64] | None = None  # (answers,), of each answer's text; across tokenizers only
    confidence: NDArray[np.float64] | None = None  # the student's probability of its likeliest token
    hit: NDArray[np.float64] | None = None  # 1 where that is what the teacher wrote
    teacher_confidence: NDArray[np.float64] | None = None
    teacher_hit: NDArray[np.float64] | None = None

    @property
    def unit(self) -> str:
        """What a position is."""
        return "token" if self.size_bytes is None else "group"

    @property
    def spans(self) -> NDArray[np.float64]:
        """(answers,) what perplexity is taken over: tokens, or bytes where the two models' tokens differ."""
        return self.lengths.astype(np.float64) if self.size_bytes is None else self.size_bytes

    def perplexity(self, log_probabilities: NDArray[np.float64]) -> float:
        """exp of the mean negative log-probability, a token or a byte."""
        return float(np.exp(-log_probabilities.sum() / self.spans.sum()))

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Per-answer sums of a value."""
        return np.array([part.sum() for part in np.split(values, np.cumsum(self.lengths)[:-1])])


@torch.inference_mode()
def measure(student: LocalModel, teacher: LocalModel | Mixture | None, examples: Sequence[Example]) -> Positions:
    """Run both models over the answers (teacher forcing) and compare their distributions at every answer position.

    Several teachers are one distribution at each position: their mixture.
    """
    names = ("log_q", "log_p", "kl", "agree", "total_variation", "confidence", "hit")
    parts: dict[str, list[Tensor]] = {name: [] for name in (*names, "teacher_confidence", "teacher_hit")}
    for start in range(0, len(examples), _ROWS_AT_ONCE):
        few = examples[start : start + _ROWS_AT_ONCE]
        targets = torch.tensor([token for one in few for token in one.tokens[one.prompt_length :]])
        q_states = answer_states(student, few)
        vocabulary = student.network.get_output_embeddings().weight.shape[0]
        theirs = _teacher_logits(teacher, start, few, vocabulary) if teacher is not None else None
        step = chunk_positions(vocabulary)
        for low in range(0, len(targets), step):
            piece = slice(low, low + step)
            q, p = answer_logits(student, q_states[piece]), None
            if theirs is not None:
                p = theirs(low, min(low + step, len(targets)))
                width = min(q.shape[-1], p.shape[-1])  # embedding padding beyond the tokenizer is cut on both
                q, p = q[:, :width], p[:, :width]
            log_q = torch.log_softmax(q, -1)
            parts["log_q"].append(_of_targets(log_q, targets[piece]))
            best = log_q.max(-1)
            parts["confidence"].append(best.values.exp())
            parts["hit"].append((best.indices == targets[piece]).float())
            if p is None:
                continue
            log_p = torch.log_softmax(p, -1)
            parts["log_p"].append(_of_targets(log_p, targets[piece]))
            parts["kl"].append(forward_kl(log_q, log_p))
            parts["total_variation"].append(total_variation(log_q, log_p))
            theirs_best = log_p.max(-1)
            parts["agree"].append((best.indices == theirs_best.indices).float())
            parts["teacher_confidence"].append(theirs_best.values.exp())
            parts["teacher_hit"].append((theirs_best.indices == targets[piece]).float())
    joined = {name: torch.cat(found).double().numpy() if found else None for name, found in parts.items()}
    lengths = np.array([one.answer_length for one in examples], dtype=np.int64)
    return Positions(lengths, **joined)  # type: ignore[arg-type]  # log_q is always there


def _teacher_logits(
    teacher: LocalModel | Mixture, start: int, examples: Sequence[Example], student_width: int
) -> Callable[[int, int], Tensor]:
    """Logits (n, V) of positions low..high of these answers, which are those from number `start` on."""
    if isinstance(teacher, Mixture):
        return teacher.log_probabilities(start, examples, student_width)
    states = answer_states(teacher, examples)
    return lambda low, high: answer_logits(teacher, states[low:high])


def answer_states(model: LocalModel, examples: Sequence[Example]) -> Tensor:
    """Final hidden states (N, D) that predict the answers' tokens, answers one after the other."""
    pad, lengths = model.tokenizer.pad_token_id or 0, [one.prompt_length for one in examples]
    return prefix.answer_states(model.network, [one.tokens for one in examples], lengths, pad)


def answer_logits(model: LocalModel, states: Tensor) -> Tensor:
    """Logits (N, V) of hidden states (N, D), in fp32."""
    from potstill.objectives.transform import logit_transform

    logits: Tensor = model.network.get_output_embeddings()(states).float()
    return logit_transform(model.network.config)(logits)


def _of_targets(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    return log_probabilities.gather(-1, targets[:, None]).squeeze(-1)


def fidelity_figures(found: Positions, clusters: Sequence[str], resamples: int, seed: int) -> dict[str, Figure]:
    """Figures with their intervals; `clusters` names each answer's prompt, the unit that is resampled.

    Across tokenizers the figures have the same names and other units, because they mean something else there.
    """
    order = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    place = np.array([order[name] for name in clusters])

    def by_prompt(sums: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(place, weights=sums, minlength=len(order)).astype(np.float64)

    counts = by_prompt(found.lengths)

    def mean(values: NDArray[np.float64], share: bool = False, over: NDArray[Any] = counts) -> Interval:
        return cluster_mean(by_prompt(found.sums(values)), over, share=share, resamples=resamples, seed=seed)

    figures: dict[str, Figure] = {}
    across = found.unit == "group"
    if found.kl is not None and found.agree is not None and found.total_variation is not None:
        figures["kl_nats"] = as_figure(mean(found.kl), f"nats a {found.unit}")
        figures["top1_agreement"] = as_figure(mean(found.agree, share=True), f"share of {found.unit}s")
        figures["total_variation"] = as_figure(mean(found.total_variation), "0 to 1, a group" if across else "0 to 1")
    if found.confidence is not None and found.hit is not None:
        error = calibration_error(
            found.confidence, found.hit, np.repeat(place, found.lengths), resamples=resamples, seed=seed
        )
        figures["calibration_error"] = as_figure(error, "0 to 1")
    if found.unmatched_l1 is not None:
        figures["unmatched_l1"] = as_figure(mean(found.unmatched_l1), "0 to 2, a group")
    if found.log_p is not None:
        ratio = exponential(mean(found.log_p - found.log_q, over=by_prompt(found.spans)))
        figures["perplexity_ratio"] = as_figure(ratio, "student / teacher" + (", a byte" if across else ""))
    return figures


def as_figure(interval: Interval, unit: str) -> Figure:
    """An interval with its unit."""
    return Figure(interval.value, interval.low, interval.high, interval.n, unit)


def agreement_by_position(
    found: Positions, initial: Positions | None, at_least: int = 5
) -> list[dict[str, float | int | None]]:
    """Top-1 agreement at the 1st, 2nd, … answer token with Wilson's interval, while at least so many answers go on."""
    from potstill.stats import wilson

    if found.agree is None:
        return []
    starts = np.concatenate([[0], np.cumsum(found.lengths)[:-1]])
    rows: list[dict[str, float | int | None]] = []
    for position in range(int(found.lengths.max())):
        places = starts[found.lengths > position] + position
        if len(places) < at_least:
            break
        interval = wilson(float(found.agree[places].sum()), len(places))
        before = float(initial.agree[places].mean()) if initial is not None and initial.agree is not None else None
        rows.append(
            {"position": position + 1, "agreement": interval.value, "low": interval.low, "high": interval.high,
             "n": len(places), "initial": before}
        )  # fmt: skip
    return rows


def chrf_scores(candidates: Sequence[str], references: Sequence[str]) -> list[float]:
    """chrF (0 to 100) of each candidate against its reference; Popović 2015, as sacrebleu computes it."""
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    return [float(metric.sentence_score(one, [other]).score) for one, other in zip(candidates, references, strict=True)]


def with_prefix(figures: Mapping[str, Figure], name: str) -> dict[str, Figure]:
    """A baseline's figures under its name."""
    return {f"{name}.{figure}": value for figure, value in figures.items()}
