"""Which licences a text is, told by passages that only they have: many a model folder has a LICENSE and no card."""

import re

_SPACE = re.compile(r"\s+")
_MARKUP = re.compile(r"[*_`#>“”\"‘’]+")

# Licence ids, and passages that the text must hold, in lower case with single spaces and without quotation marks; then
# passages that it must not hold, because another licence is this one with more.
_PASSAGES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("apache-2.0", ("apache license", "version 2.0, january 2004", "grant of patent license"), ()),
    (
        "mit",
        (
            "permission is hereby granted, free of charge, to any person obtaining a copy of this software",
            "the rights to use, copy, modify, merge, publish, distribute, sublicense",
            "the above copyright notice and this permission notice shall be included",
        ),
        ("if the software", "modified mit license"),  # Moonshot's and MiniMax's forms add a condition
    ),
    (
        "bsd-3-clause",
        (
            "redistribution and use in source and binary forms, with or without modification, are permitted",
            "to endorse or promote products derived from this software",
        ),
        ("all advertising materials",),
    ),
    (
        "bsd-2-clause",
        (
            "redistribution and use in source and binary forms, with or without modification, are permitted",
            "redistributions in binary form must reproduce the above copyright notice",
        ),
        ("to endorse or promote products derived from this software", "all advertising materials"),
    ),
    ("cc0-1.0", ("cc0 1.0 universal", "affirmer"), ()),
    ("cc-by-4.0", ("attribution 4.0 international", "licensor", "adapted material"), ()),
    ("cc-by-sa-4.0", ("attribution-sharealike 4.0 international", "licensor", "adapted material"), ()),
    ("cc-by-nd-4.0", ("attribution-noderivatives 4.0 international", "licensor", "adapted material"), ()),
    ("cc-by-nc-4.0", ("attribution-noncommercial 4.0 international", "licensor", "adapted material"), ()),
    ("cc-by-nc-sa-4.0", ("attribution-noncommercial-sharealike 4.0 international", "licensor", "adapted material"), ()),
    (
        "cc-by-nc-nd-4.0",
        ("attribution-noncommercial-noderivatives 4.0 international", "licensor", "adapted material"),
        (),
    ),
    ("llama2", ("llama 2 community license agreement", "llama materials"), ()),
    ("llama3", ("meta llama 3 community license agreement", "llama materials"), ()),
    ("llama3.1", ("llama 3.1 community license agreement", "llama materials"), ()),
    ("llama3.2", ("llama 3.2 community license agreement", "llama materials"), ()),
    ("llama3.3", ("llama 3.3 community license agreement", "llama materials"), ()),
    ("llama4", ("llama 4 community license agreement", "llama materials"), ()),
    ("gemma", ("gemma terms of use", "model derivatives"), ()),
    ("tongyi-qianwen", ("tongyi qianwen license agreement", "materials"), ()),
    ("qwen-research", ("qwen research license agreement", "materials"), ()),
    ("qwen", ("qwen license agreement", "materials"), ("qwen research license agreement",)),
)


def licences_in(text: str) -> tuple[str, ...]:
    """The ids of the licences whose text this is or holds, such as apache-2.0; none where it is none that is known."""
    plain = _SPACE.sub(" ", _MARKUP.sub("", text)).casefold()
    return tuple(
        identifier
        for identifier, passages, others in _PASSAGES
        if all(one in plain for one in passages) and not any(one in plain for one in others)
    )
