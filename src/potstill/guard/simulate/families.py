"""Attack families, in the shapes that public reports describe; what reports do not say is assumed, and said so here."""

from typing import Final

from potstill.guard.simulate.kinds import Family, Made, What, When

_FLEET: Final = Made(
    ("pro",), accounts_a_card=5, batch_s=14_400, signed_up_days=(-12, 0), place="cloud", addresses=3, new_share=0
)  # fmt: skip
_MIXED: Final = Made(
    ("free", "pro", "team"), accounts_a_card=8, signed_up_days=(-60, 0), place="proxies", addresses=12, new_share=0
)
_LONG: Final = What(
    "template", wording="solve", scope="group", templates=4, output_tokens=1400, max_tokens=(2048, 4096),
    temperatures=(1.0,), streamed=0.1,
)  # fmt: skip

# Of the sizes, these were published: the exchanges of `fleet`, `agentic`, `release_shift` and `thinking_language`; the
# accounts of `agentic` ("hundreds"), `proxy_network` and `failover_pools`, and its exchanges a day; the variants of
# `variant_sweep`; and 670 exchanges an account on average, from which accounts or exchanges follow where only the other
# is known. The three families of wordings alone are parts of `fleet`; `forwarding` and `adaptive` have no published
# size.
FAMILIES: Final[tuple[Family, ...]] = (
    Family(
        "fleet", "synchronised accounts with shared templates and payment", 224, 150_000, _FLEET,
        When("flat", pacing="together", slots=60),
        What("template", wording="fleet", scope="group", templates=6, output_tokens=1200, max_tokens=(2048,),
             temperatures=(1.0,), streamed=0.0),
    ),
    Family(
        "rubric_grading", "answers graded by rubrics, as a reward model's data", 224, 150_000, _FLEET,
        When("flat", gap_s=20),
        What("template", wording="rubric", scope="group", templates=4, context_tokens=600, output_tokens=300,
             max_tokens=(512,), temperatures=(0.0, 1.0), several_answers=0.1, streamed=0.0),
    ),
    Family(
        "restated_reasoning", "the reasoning behind a finished answer, asked for afterwards", 224, 150_000, _FLEET,
        When("flat", gap_s=20),
        What("template", wording="restate", scope="group", templates=4, context_tokens=500, output_tokens=1500,
             max_tokens=(2048, 4096), temperatures=(1.0,), streamed=0.0),
    ),
    Family(
        "rewritten_questions", "sensitive questions rewritten into harmless ones", 224, 150_000, _FLEET,
        When("flat", gap_s=20),
        What("template", wording="rewrite", scope="group", templates=4, topics=3, output_tokens=200,
             max_tokens=(512,), temperatures=(1.0,), streamed=0.0),
    ),
    Family(
        "agentic", "agentic work and tools, from accounts of several kinds", 300, 3_400_000, _MIXED,
        When("waking", turns=12, gap_s=10),
        What("tools", wording="agentic", scope="group", templates=5, system="group", context_tokens=3000,
             output_tokens=500, max_tokens=(4096,), temperatures=(1.0,)),
    ),
    Family(
        "release_shift", "half of the traffic moves to a new model within 24 hours", 19_400, 13_000_000, _MIXED,
        When("flat"),
        What("template", wording="solve", scope="group", templates=8, output_tokens=1400, max_tokens=(4096,),
             temperatures=(1.0,), adopts_days=0.3, moved_share=0.5),
    ),
    Family(
        "proxy_network", "a network of proxies that mixes distillation with unrelated traffic", 20_000, 13_400_000,
        Made(("free", "pro", "pro", "team"), accounts_a_card=20, signed_up_days=(-120, 5), place="proxies",
             addresses=30, clients=3, new_share=0),
        When("waking"), _LONG,
    ),
    Family(
        "thinking_language", "prompts that force the language of the thinking", 150, 100_000, _FLEET,
        When("flat", gap_s=20),
        What("template", wording="language", scope="group", templates=8, output_tokens=1300, max_tokens=(4096,),
             temperatures=(1.0,), streamed=0.0),
    ),
    Family(
        "failover_pools", "one fixed prompt that forces reasoning inline; two pools that take over from each other",
        3_500, 9_000_000,  # 3 million a day, for three days
        Made(("pro",), accounts_a_card=10, batch_s=86_400, signed_up_days=(-30, 0), place="proxies", addresses=8,
             new_share=0),
        When("flat"),
        What("template", wording="inline", scope="group", templates=1, output_tokens=1500, max_tokens=(4096,),
             temperatures=(1.0,), streamed=0.0, conversations=False),
        days=(0.5, 0.6), pools=True,
    ),
    Family(
        "variant_sweep", "a sweep of 12,000 variants of extraction techniques, ten requests each", 180, 120_000, _FLEET,
        When("flat", pacing="run", gap_s=4),
        What("template", wording="sweep", scope="group", templates=12_000, output_tokens=600,
             max_tokens=(1024, 2048), temperatures=(0.0, 0.7, 1.0), logprobs=0.2, biased=0.5, streamed=0.0),
    ),
    Family(
        "forwarding", "users' own requests, forwarded silently: the content is theirs", 500, 335_000,
        Made(("pro",), accounts_a_card=10, batch_s=14_400, signed_up_days=(-20, 0), place="cloud", addresses=2,
             one_place=True, client="own", new_share=0),
        When("waking", turns=3), What(topics=100, streamed=0.95, max_tokens=(4096,), temperatures=(1.0,),
                                      traced="conv"),
    ),
    Family(
        "adaptive", "every prompt worded anew, human hours, small volume; only payment is shared", 200, 60_000,
        Made(("free", "pro"), accounts_a_card=4, signed_up_days=(-200, 0), place="proxies", addresses=3,
             client="browser", new_share=0),
        When("waking", turns=2),
        What(topics=6, output_tokens=900, max_tokens=(None,), temperatures=(None,), streamed=0.9),
    ),
)  # fmt: skip
