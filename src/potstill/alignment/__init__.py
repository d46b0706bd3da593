"""Two tokenizers over one text: byte spans, groups of tokens that write the same bytes, and matched vocabularies."""

from potstill.alignment.groups import Group, align
from potstill.alignment.reported import Agreement, Lists, Wording, lists_of
from potstill.alignment.spelling import AlignmentError, Spans, Spelling
from potstill.alignment.vocabulary import VocabularyMatch, match_vocabularies

__all__ = [
    "Agreement",
    "AlignmentError",
    "Group",
    "Lists",
    "Spans",
    "Spelling",
    "VocabularyMatch",
    "Wording",
    "align",
    "lists_of",
    "match_vocabularies",
]
