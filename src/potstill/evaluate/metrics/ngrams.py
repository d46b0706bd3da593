"""BLEU and chrF of one answer, as sacreBLEU computes them."""

from functools import cache
from typing import Any


def bleu(answer: str, reference: str) -> float:
    """Sentence BLEU, 0 to 100 (Papineni et al. 2002): n-grams up to 4, or as many words as there are, of 13a tokens.

    A precision of 0 is smoothed exponentially, as is sacreBLEU's default for sentences (Chen & Cherry 2014, method 3).
    """
    return float(_metric("bleu").sentence_score(answer, [reference]).score)


def chrf(answer: str, reference: str) -> float:
    """chrF, 0 to 100 (Popović 2015): character n-grams up to 6, recall weighted twice."""
    return float(_metric("chrf").sentence_score(answer, [reference]).score)


@cache
def _metric(name: str) -> Any:
    from sacrebleu.metrics import BLEU, CHRF  # 0.1 s

    return BLEU(effective_order=True) if name == "bleu" else CHRF()
