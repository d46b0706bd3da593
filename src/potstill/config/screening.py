"""Which answers are not trained on, although the teacher gave them: the recipe's `screen:` section."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from potstill.config.sections import Endpoint, Section

LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class RepeatedNgrams(Section):
    """The share of an answer's word characters, in n-grams of `words` that stood there before, that is too much."""

    words: int = Field(default=5, ge=2, le=50)
    share: float = Field(default=0.15, gt=0, lt=1)  # MassiveText's for n = 5 (texts/repetition.py)


class NearDuplicates(Section):
    """How alike an answer may be to an earlier one: the Jaccard similarity of 5-character shingles."""

    similarity: float = Field(default=0.8, ge=0.5, le=1)
    # prompt: answers to one prompt are compared; all: each with every other, prompt and answer together, and training
    # answers with held-out ones too.
    among: Literal["prompt", "all"] = "prompt"


class EvaluationSet(Section):
    """Texts that training must not see: a field of a JSONL, CSV or Parquet file, plain or gzipped."""

    source: Path
    field: str = Field(min_length=1)


class Judge(Section):
    """Another model that gives each answer a whole number from 1 to `scale`; below `minimum` it is not trained on."""

    endpoint: Endpoint
    license: str | None = None  # SPDX id of the judge's weights, where its name does not tell: the terms gate asks
    rubric: str = Field(min_length=1)  # what makes an answer good, in words for the judge
    minimum: int = Field(default=7, ge=1)
    scale: int = Field(default=10, ge=2, le=100)
    max_new_tokens: int = Field(default=512, ge=1)  # a judge that reasons first needs room for it


class Screen(Section):
    """What is looked for in the answers. Nothing is deleted: each answer keeps its reasons in screening.parquet."""

    refusals: bool = False  # by the phrases that they begin with
    languages: tuple[LanguageCode, ...] = ()  # those that answers may be in; any where there are none
    repeated_ngrams: RepeatedNgrams | None = None
    exact_duplicates: bool = True  # of the same prompt: the first is kept
    near_duplicates: NearDuplicates | None = None
    json_schema: Path | Mapping[str, Any] | None = None  # that every answer must satisfy
    contamination: tuple[EvaluationSet, ...] = ()
    judge: Judge | None = None
    most_failed: float = Field(default=0.5, ge=0, le=1)  # share of failed requests above which the run stops
