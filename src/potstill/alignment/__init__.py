"""Two tokenizers over one text: byte spans, groups of tokens that write the same bytes, and matched vocabularies."""

from potstill.alignment.groups import Group, align
from potstill.alignment.spelling import AlignmentError, Spans, Spelling
from potstill.alignment.vocabulary import VocabularyMatch, match_vocabularies

__all__ = ["AlignmentError", "Group", "Spans", "Spelling", "VocabularyMatch", "align", "match_vocabularies"]
