"""Honest customers who look like a campaign in one way or several, by the names of the issue that asked for them."""

from typing import Final

from potstill.guard.simulate.kinds import Kind, Made, What, When

_TEAM: Final = Made(("team", "enterprise"), organization=True, accounts_a_card=0, place="cloud", addresses=3)

HARD_NEGATIVES: Final[tuple[Kind, ...]] = (
    Kind(
        "nightly_evaluation", "the same test suite every night, from two accounts of one organization", 0.006, 1500,
        Made(("team",), organization=True, accounts_a_card=0, place="cloud", one_place=True),
        When("night", pacing="run", gap_s=1.5),
        What("benchmark", output_tokens=220, max_tokens=(1024, 2048), temperatures=(0.0,), logprobs=0.3,
             conversations=False, adopts_days=2, streamed=0.0),
        spread=0.4, size=2,
    ),
    Kind(
        "licensed_distillation", "an enterprise that trains a student under a contract, around the clock", 0.006, 2500,
        Made(("enterprise",), organization=True, accounts_a_card=0, batch_s=3600, place="cloud", one_place=True,
             client="own"),
        When("flat", pacing="together", slots=120),
        What("template", templates=6, scope="group", output_tokens=900, max_tokens=(1024,), temperatures=(1.0,),
             conversations=False, logprobs=0.5, streamed=0.0),
        spread=0.3, size=6,
    ),
    Kind(
        "ci_agents", "agents that a build server starts, several accounts of one organization at once", 0.008, 1200,
        Made(("team",), organization=True, accounts_a_card=0, place="cloud", addresses=6, one_place=True),
        When("office", "work", "together", slots=30, jitter_s=90),
        What("tools", topics=2, context_tokens=3000, output_tokens=300, system="group", model="code"),
        spread=0.4, size=5,
    ),
    Kind(
        "retrieval_backfill", "an archive that is summarised once, in some days around the clock", 0.005, 3000,
        Made(("team",), place="cloud"),
        When("flat", pacing="run", gap_s=1, days="window"),
        What("documents", topics=3, context_tokens=400, output_tokens=120, max_tokens=(128, 256), temperatures=(0.0,),
             conversations=False, streamed=0.0),
        spread=0.5,
    ),
    Kind(
        "fallback_router", "a router that sends requests here while another provider is down", 0.006, 600,
        Made(("team",), place="cloud", addresses=6),
        When("flat", pacing="together", days="outages", schedule="world", slots=60),
        What(topics=30, system="account", adopts_days=2),
        spread=0.6,
    ),
    Kind(
        "drift_monitor", "the same probes every hour, by a product that many customers use", 0.006, 1400,
        Made(("pro", "team"), place="cloud", client="own"),
        When("flat", pacing="clock"),
        What("fixed", templates=40, scope="world", output_tokens=120, max_tokens=(256,), temperatures=(0.0,),
             logprobs=0.5, conversations=False, streamed=0.0),
        spread=0.2,
    ),
    Kind(
        "team_key", "a team behind one key: many addresses and clients, one account", 0.006, 2500,
        Made(("team",), place="home", addresses=40, clients=12),
        When("waking", turns=4), What(topics=30, traced="conv"), spread=0.4,
    ),
    Kind(
        "gateway", "a company's gateway: all its applications through two accounts", 0.006, 2500,
        Made(("enterprise",), organization=True, accounts_a_card=0, place="office", one_place=True, client="own",
             keys=6),
        When("waking", turns=2), What(topics=100, traced="conv"), spread=0.4, size=2,
    ),
    Kind(
        "day_one_benchmarking", "a public benchmark, on the day when a model comes out", 0.01, 500,
        Made(("pro", "team"), place="cloud"),
        When("waking", pacing="run", gap_s=2, days="release", window_days=2),
        What("benchmark", output_tokens=300, max_tokens=(1024, 2048), temperatures=(0.0,), conversations=False,
             adopts_days=0.05, streamed=0.0),
        spread=0.5,
    ),
    Kind(
        "classroom", "a class: signed up within minutes, one network, one assignment, one hour", 0.02, 40,
        Made(("free", "education"), cards_known=False, batch_s=900, signed_up_days=(-20, 3), place="office",
             one_place=True, client="browser", one_zone=True),
        When("office", "lessons", "together", slots=8, jitter_s=240),
        What("template", topics=1, templates=3, scope="group", streamed=0.95, max_tokens=(None,),
             temperatures=(None,)),
        spread=0.4, size=20,
    ),
    Kind(
        "narrow_saas", "a product that does one thing: one topic, one template", 0.02, 600,
        Made(("team",), place="cloud", client="own"),
        When("waking"),
        What("template", topics=1, system="account", output_tokens=300, max_tokens=(512, 1024)),
        spread=0.8,
    ),
    Kind(
        "reseller", "accounts that one reseller pays for, each another customer", 0.012, 300,
        Made(("team",), accounts_a_card=0, place="home", addresses=2, client="sdk"),
        When("waking", turns=3), What(topics=10, system="account"), spread=0.9, size=12,
    ),
)  # fmt: skip
