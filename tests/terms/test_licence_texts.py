"""Licences told by their text: the packaged one whole, others by the passages that make them what they are."""

from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.terms.licence_texts import licences_in
from potstill.terms.rules import matching, rules

MIT = """MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.
"""
BSD = """Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:
1. Redistributions of source code must retain the above copyright notice.
2. Redistributions in binary form must reproduce the above copyright notice.
"""
ENDORSE = "3. Neither the name of the holder may be used to endorse or promote products derived from this software."


def creative(elements: str) -> str:
    return f"{elements} 4.0 International\n\nThe Licensor grants … to produce, reproduce, and Share Adapted Material."


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (MIT, ("mit",)),
        (MIT + "\nOur only modification is that, if the Software is used by more than 100 million users, …", ()),
        (BSD, ("bsd-2-clause",)),
        (BSD + ENDORSE, ("bsd-3-clause",)),
        (creative("Attribution"), ("cc-by-4.0",)),
        (creative("Attribution-NonCommercial"), ("cc-by-nc-4.0",)),
        (creative("Attribution-ShareAlike"), ("cc-by-sa-4.0",)),
        (creative("Attribution-NonCommercial-ShareAlike"), ("cc-by-nc-sa-4.0",)),
        (creative("Attribution-NonCommercial-NoDerivatives"), ("cc-by-nc-nd-4.0",)),
        ("LLAMA 2 COMMUNITY LICENSE AGREEMENT\n\n“Llama Materials” means, collectively, …", ("llama2",)),
        ("META LLAMA 3 COMMUNITY LICENSE AGREEMENT\n\n“Meta Llama 3” … “Llama Materials” means …", ("llama3",)),
        ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\n\n“**Llama Materials**” means, collectively, …", ("llama3.1",)),
        ("LLAMA 3.2 COMMUNITY LICENSE\nAGREEMENT\n\n“Llama Materials” means, collectively, …", ("llama3.2",)),
        ("LLAMA 3.3 COMMUNITY LICENSE AGREEMENT\n\n“Llama Materials” means, collectively, …", ("llama3.3",)),
        ("LLAMA 4 COMMUNITY LICENSE AGREEMENT\n\n“Llama Materials” means, collectively, …", ("llama4",)),
        ("Gemma Terms of Use\n\nBy using … any portion of Gemma or Model Derivatives …", ("gemma",)),
        ("Qwen LICENSE AGREEMENT\n\nQwen LICENSE AGREEMENT Release Date: … Materials …", ("qwen",)),
        ("Qwen RESEARCH LICENSE AGREEMENT\n\n… FOR NON-COMMERCIAL PURPOSES ONLY … Materials", ("qwen-research",)),
        ("Tongyi Qianwen LICENSE AGREEMENT\n\nTongyi Qianwen Release Date: … Materials", ("tongyi-qianwen",)),
        ("This model is built with Llama 3.1; see its community license agreement.", ()),
        ("All rights reserved.", ()),
        ("", ()),
    ],
)
def test_a_text_is_known_by_its_passages(text: str, ids: tuple[str, ...]) -> None:
    assert licences_in(text) == ids
    for one in ids:
        assert matching(f"license:{one}", rules()), f"no rule says what {one} means"


def test_apaches_text_is_known_whole_and_reflowed() -> None:
    text = (files("potstill.export") / "licenses" / "apache-2.0.txt").read_text(encoding="utf-8")
    assert licences_in(text) == ("apache-2.0",)
    assert licences_in(" ".join(text.split())) == ("apache-2.0",)
    assert licences_in(text + MIT) == ("apache-2.0", "mit")  # a file that holds two is under both


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert licences_in(text) == ()
