"""Kinds of benign customers: who sends requests to a model's API in an ordinary month. Shares and rates are made up."""

from typing import Final

from potstill.guard.simulate.kinds import Kind, Made, What, When

_PERSON: Final = Made(("free", "free", "pro"), place="home", addresses=3, client="browser", clients=2)
_DEVELOPER: Final = Made(("pro", "team"), place="home", addresses=3, client="sdk", clients=2, keys=2)
_SERVICE: Final = Made(("team", "enterprise"), place="cloud", addresses=4, client="sdk")

CUSTOMERS: Final[tuple[Kind, ...]] = (
    Kind(
        "chat_user", "a person who chats", 0.24, 90, _PERSON,
        When("waking", turns=4), What(traced="conv", streamed=0.95, max_tokens=(None,), temperatures=(None,)),
    ),
    Kind(
        "student", "a student before exams", 0.09, 70, _PERSON,
        When("evening", turns=5), What(topics=4, streamed=0.95, max_tokens=(None,), temperatures=(None,)),
    ),
    Kind(
        "writer", "a person who drafts long texts", 0.05, 60, _PERSON,
        When("office", turns=6), What(topics=3, output_tokens=900, streamed=0.9, max_tokens=(None, 4096)),
    ),
    Kind(
        "developer", "a developer who tries things", 0.12, 150, _DEVELOPER,
        When("office", "work", turns=3), What(topics=6, adopts_days=3, logprobs=0.01, traced="conv"),
    ),
    Kind(
        "coding_assistant", "an editor's completions", 0.10, 250, _DEVELOPER,
        When("office", "work", turns=8, gap_s=25),
        What(topics=2, model="code", context_tokens=1800, output_tokens=30, system="world", traced="code"),
    ),
    Kind(
        "agent", "an agent that works with tools", 0.06, 350, _DEVELOPER,
        When("office", turns=14, gap_s=12),
        What("tools", topics=5, context_tokens=2500, output_tokens=160, system="world", adopts_days=6),
    ),
    Kind(
        "rag_service", "answers over a company's documents", 0.06, 400, _SERVICE,
        When("office", turns=1.6),
        What("documents", topics=2, scope="world", context_tokens=900, output_tokens=180, system="account"),
    ),
    Kind(
        "support_bot", "a shop's support", 0.05, 400, _SERVICE,
        When("waking", turns=5),
        What(topics=1, system="account", context_tokens=700, output_tokens=90, max_tokens=(300, 512)),
    ),
    Kind(
        "summariser", "summaries of what comes in", 0.04, 350, _SERVICE,
        When("flat"), What("documents", topics=3, context_tokens=300, output_tokens=140, max_tokens=(256, 400)),
    ),
    Kind(
        "translator", "translations of short texts", 0.04, 300, _SERVICE,
        When("waking"), What("template", topics=8, templates=3, output_tokens=70, temperatures=(0.0, 0.2)),
    ),
    Kind(
        "classifier", "labels, in a batch a day", 0.04, 700, _SERVICE,
        When("night", pacing="run", gap_s=0.8),
        What("template", topics=2, output_tokens=6, max_tokens=(8, 16), temperatures=(0.0,), model="small",
             conversations=False, logprobs=0.1, streamed=0.0),
    ),
    Kind(
        "extractor", "fields out of forms", 0.03, 450, _SERVICE,
        When("office", "work", pacing="run", gap_s=3),
        What("template", topics=2, templates=2, output_tokens=90, temperatures=(0.0,), conversations=False),
    ),
    Kind(
        "data_maker", "a research group that makes training data of its own", 0.01, 700, _SERVICE,
        When("flat", pacing="run", gap_s=2, days="window", window_days=6),
        What("template", topics=6, templates=4, output_tokens=700, max_tokens=(1024,), several_answers=0.2,
             temperatures=(1.0,), conversations=False),
    ),
    Kind(
        "game", "characters of a game", 0.03, 300, _SERVICE,
        When("evening", turns=9, gap_s=20), What(topics=3, system="account", output_tokens=60, temperatures=(1.0, 1.2)),
    ),
)  # fmt: skip
