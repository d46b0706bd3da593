"""The simulator: the same options give the same log, every kind is in it, and campaigns have the shape they claim."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from guard.logs import KEY
from potstill.errors import PotstillError
from potstill.guard import SCHEMA, Intake, Pseudonyms, ingest, open_events
from potstill.guard.simulate import Campaign, Options, simulate
from potstill.guard.simulate.blocks import Turns
from potstill.guard.simulate.customers import CUSTOMERS
from potstill.guard.simulate.families import FAMILIES
from potstill.guard.simulate.hard_negatives import HARD_NEGATIVES
from potstill.guard.simulate.run import START

DAYS, BENIGN, HALF = 8, 240, 0.5
ISSUE = {
    "nightly_evaluation", "licensed_distillation", "ci_agents", "retrieval_backfill", "fallback_router",
    "drift_monitor", "team_key", "gateway", "day_one_benchmarking", "classroom", "narrow_saas", "reseller",
}  # fmt: skip
ORDERS = tuple(Campaign(family.name, HALF, accounts=6, exchanges=600) for family in FAMILIES)
MONTH = Options(seed=3, days=DAYS, benign=BENIGN, campaigns=ORDERS)


def log_of(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(one) for one in sorted((folder / "logs").iterdir())])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(MONTH, tmp_path_factory.mktemp("simulated") / "out").folder


@pytest.fixture(scope="module")
def log(simulated: Path) -> pa.Table:
    return log_of(simulated)


@pytest.fixture(scope="module")
def truth(simulated: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(simulated / "truth.parquet").to_pylist()
    return rows


def events_of(log: pa.Table, truth: list[dict[str, Any]], kind: str) -> pa.Table:
    names = [row["account"] for row in truth if row["kind"] == kind]
    assert names
    return log.filter(pc.is_in(log["account"], pa.array(names)))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def test_same_options_same_bytes_and_another_seed_another_log(tmp_path: Path) -> None:
    small = Options(seed=5, days=2, benign=48, campaigns=(Campaign("fleet", 0.3, accounts=3, exchanges=60),))
    first = files_of(simulate(small, tmp_path / "one").folder)
    assert first == files_of(simulate(small, tmp_path / "two").folder)
    other = Options(seed=6, days=2, benign=48, campaigns=small.campaigns)
    assert first["truth.parquet"] != files_of(simulate(other, tmp_path / "three").folder)["truth.parquet"]


def test_a_campaign_changes_nothing_about_the_others(tmp_path: Path) -> None:
    alone = log_of(simulate(Options(seed=5, days=2, benign=48), tmp_path / "alone").folder)
    campaign = Campaign("proxy_network", 0.9, accounts=4, exchanges=80)
    beside = log_of(simulate(Options(seed=5, days=2, benign=48, campaigns=(campaign,)), tmp_path / "beside").folder)
    names = alone["account"].unique()
    order = [(name, "ascending") for name in ("time", "account", "prompt", "input_tokens")]
    assert beside.filter(pc.is_in(beside["account"], names)).sort_by(order) == alone.sort_by(order)
    assert len(beside) > len(alone)


def test_events_are_canonical_and_in_their_days(simulated: Path, log: pa.Table) -> None:
    for one in sorted((simulated / "logs").iterdir()):
        part = pq.read_table(one)
        assert part.schema == SCHEMA
        assert {str(day) for day in pc.strftime(part["time"], "%Y-%m-%d").unique().to_pylist()} == {one.stem}
        assert (np.diff(part["time"].cast(pa.int64()).to_numpy()) >= 0).all()
    assert len(list((simulated / "logs").iterdir())) == DAYS
    for name in ("time", "account", "key", "signup_time", "model", "input_tokens", "output_tokens", "status", "prompt"):
        assert log[name].null_count == 0, name
    assert pc.all(pc.greater_equal(log["time"], log["signup_time"])).as_py()
    assert pc.min(pc.utf8_length(log["prompt"])).as_py() > 0


def test_truth_counts_every_event(simulated: Path, log: pa.Table, truth: list[dict[str, Any]]) -> None:
    counted = {row["values"]: row["counts"] for row in pc.value_counts(log["account"]).to_pylist()}
    assert {row["account"]: row["events"] for row in truth if row["events"]} == counted
    assert sum(row["label"] != "campaign" for row in truth) == BENIGN
    assert all(row["attack_events"] == 0 for row in truth if row["label"] != "campaign")
    manifest = json.loads((simulated / "simulation.json").read_text())
    assert (manifest["events"], manifest["accounts"]) == (len(log), len(truth))
    assert len({row["account"] for row in truth}) == len(truth)


def test_guard_reads_it_whole(simulated: Path, tmp_path: Path, truth: list[dict[str, Any]]) -> None:
    made = ingest([simulated / "logs"], tmp_path / "events", Intake(KEY))
    assert made.noted.events == sum(row["events"] for row in truth)
    assert not made.noted.quarantined
    assert not made.noted.unreadable_fields
    with open_events(tmp_path / "events").connection() as connection:
        seen = {row[0] for row in connection.execute("SELECT DISTINCT account FROM events").fetchall()}
    names = Pseudonyms(KEY)
    assert seen == {names.of("account", row["account"]) for row in truth if row["events"]}


def test_every_kind_is_there(truth: list[dict[str, Any]]) -> None:
    assert {kind.name for kind in HARD_NEGATIVES} == ISSUE
    active = {(row["label"], row["kind"]) for row in truth if row["events"]}
    wanted = {("benign", kind.name) for kind in CUSTOMERS} | {("hard_negative", name) for name in ISSUE}
    assert active == wanted | {("campaign", family.name) for family in FAMILIES}


@pytest.mark.parametrize("accounts", [1, 12, 60, 500])
def test_however_few_accounts_the_count_is_right(tmp_path: Path, accounts: int) -> None:
    made = simulate(Options(days=1, benign=accounts), tmp_path / "out")
    rows = pq.read_table(made.folder / "truth.parquet").to_pylist()
    assert len(rows) == made.accounts == accounts
    if accounts >= 12:
        assert {row["kind"] for row in rows if row["label"] == "hard_negative"} == ISSUE


@pytest.mark.parametrize("cover", [0.0, 0.5, 0.95])
def test_cover_is_that_share_of_a_campaign(tmp_path: Path, cover: float) -> None:
    orders = tuple(Campaign(family.name, cover, accounts=20, exchanges=6_000) for family in FAMILIES[:4])
    simulate(Options(days=4, benign=0, campaigns=orders), tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "truth.parquet").to_pylist()
    for name in {row["group"] for row in rows}:
        events, attack = (sum(row[of] for row in rows if row["group"] == name) for of in ("events", "attack_events"))
        assert abs(events - 6_000) < 5 * 6_000**0.5
        assert abs(attack - (1 - cover) * 6_000) <= 5 * (6_000 * (1 - cover)) ** 0.5
        assert cover or attack == events


def test_published_sizes_are_scaled() -> None:
    assert Campaign("release_shift").size(0.01) == (194, 130_000)
    assert Campaign("proxy_network").size(0.01)[0] == 200
    assert Campaign("failover_pools").size(0.01) == (35, 90_000)
    assert Campaign("fleet").size(0.01) == (3, 1_500)
    assert Campaign("fleet", accounts=10).size(0.01) == (10, round(10 * 150_000 / 224))
    assert Campaign("fleet", exchanges=77).size(1) == (224, 77)


def test_a_fleet_shares_cards_and_minutes(log: pa.Table, truth: list[dict[str, Any]]) -> None:
    mine = events_of(log, truth, "fleet")
    assert pc.count_distinct(mine["payment"]).as_py() == 2
    signups = mine["signup_time"].cast(pa.int64())
    assert pc.max(signups).as_py() - pc.min(signups).as_py() <= 14_400 * 1_000_000
    attack = mine.filter(pc.match_substring_regex(mine["prompt"], "rubric|reasoning|thinking|collection|candidate"))
    bins = pc.divide(attack["time"].cast(pa.int64()), 300_000_000)
    shared = attack.append_column("bin", bins).group_by("bin").aggregate([("account", "count_distinct")])
    assert pc.mean(shared["account_count_distinct"]).as_py() > 1.2


def test_a_release_moves_half_of_a_campaign_within_a_day(log: pa.Table, truth: list[dict[str, Any]]) -> None:
    released = int(START.timestamp() * 1e6) + (DAYS // 2 * 24 + 17) * 3_600_000_000
    hours = pc.divide(pc.subtract(log["time"].cast(pa.int64()), released), 3_600_000_000)
    assert not pc.any(pc.and_(pc.less(hours, 0), pc.equal(log["model"], "large-2"))).as_py()
    log = log.append_column("hours", hours)

    def moved(part: pa.Table, hours: int) -> float:
        late = part.filter(pc.and_(pc.greater_equal(part["hours"], hours), pc.starts_with(part["model"], "large")))
        return float(pc.mean(pc.equal(late["model"], "large-2").cast(pa.int8())).as_py())

    mine = events_of(log, truth, "release_shift")
    attack = mine.filter(pc.and_(pc.equal(mine["max_tokens"], 4096), pc.equal(mine["temperature"], 1.0)))
    assert 0.35 < moved(attack, 24) < 0.65
    assert moved(events_of(log, truth, "chat_user"), 24) < 0.3
    assert moved(events_of(log, truth, "day_one_benchmarking"), 3) > 0.9


def test_pools_take_over_from_each_other(log: pa.Table, truth: list[dict[str, Any]]) -> None:
    mine = events_of(log, truth, "failover_pools")
    others = log.filter(pc.invert(pc.is_in(log["account"], mine["account"].unique())))
    assert pc.any(pc.equal(mine["status"], 403)).as_py()
    assert not pc.any(pc.equal(others["status"], 403)).as_py()
    turns, pool = Turns(3, "any"), np.arange(4_000) % 2
    seconds, blocked = turns.moments(2, pool, np.random.default_rng(0))
    edges = turns.blocks(2)
    assert len(edges) % 2 == 0
    working = np.searchsorted(edges, seconds, side="right") % 2
    assert (working[~blocked] == pool[~blocked]).all()
    assert (working[blocked] != pool[blocked]).all()
    assert 0 < blocked.mean() < 0.05


def test_a_sweep_has_variants_and_a_forwarder_has_no_wording(log: pa.Table, truth: list[dict[str, Any]]) -> None:
    sweep = events_of(log, truth, "variant_sweep")["prompt"]
    assert pc.count_distinct(pc.utf8_slice_codeunits(sweep, 0, 60)).as_py() > 40
    forwarding = events_of(log, truth, "forwarding")
    assert not pc.any(pc.match_substring_regex(forwarding["prompt"], "(?i)rubric|reasoning|step by step.*show")).as_py()
    languages = events_of(log, truth, "thinking_language")["prompt"]
    for phrase in ("Deutsch", "français", "español", "中文", "日本語", "한국어", "русском"):
        assert pc.any(pc.match_substring(languages, phrase)).as_py(), phrase


def test_hard_negatives_look_like_what_they_are(log: pa.Table, truth: list[dict[str, Any]]) -> None:
    pupils = events_of(log, truth, "classroom")
    assert pc.count_distinct(pupils["network"]).as_py() <= len({r["group"] for r in truth if r["kind"] == "classroom"})
    licensed = events_of(log, truth, "licensed_distillation")
    assert licensed["organization"].null_count == 0
    assert pc.count_distinct(licensed["payment"]).as_py() == pc.count_distinct(licensed["organization"]).as_py()
    key = events_of(log, truth, "team_key").group_by("key").aggregate([("address_prefix", "count_distinct")])
    assert pc.max(key["address_prefix_count_distinct"]).as_py() > 15
    probes = events_of(log, truth, "drift_monitor")["prompt"]
    assert pc.count_distinct(probes).as_py() <= 40
    tasks = events_of(log, truth, "day_one_benchmarking")
    days = pc.strftime(tasks["time"], "%Y-%m-%d").unique().to_pylist()
    assert sorted(days) == ["2026-01-09", "2026-01-10"]


def test_what_a_killed_call_left_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "out" / "logs").mkdir(parents=True)
    (tmp_path / "out" / "logs" / "2020-01-01.parquet").write_bytes(b"torn")
    options = Options(days=1, benign=12)
    simulate(options, tmp_path / "out")
    assert [one.name for one in (tmp_path / "out" / "logs").iterdir()] == ["2026-01-05.parquet"]
    with pytest.raises(PotstillError, match="holds a simulation already"):
        simulate(options, tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(PotstillError, match="holds other files"):
        simulate(options, tmp_path / "other")
    assert (tmp_path / "other" / "letter.txt").read_text() == "mine"


def sources() -> Iterator[Path]:
    folder = Path(simulate.__code__.co_filename).parent
    yield from (one for one in folder.iterdir() if one.suffix in (".py", ".yaml"))


def test_nobody_real_is_named(log: pa.Table) -> None:
    names = "openai|anthropic|google|deepmind|microsoft|meta ai|mistral|deepseek|alibaba|qwen|moonshot|minimax|xai|gpt"
    for source in sources():
        assert not any(name in source.read_text(encoding="utf-8").lower() for name in names.split("|")), source
    for column in ("prompt", "system_prompt", "client", "model", "account"):
        assert not pc.any(pc.match_substring_regex(log[column], f"(?i){names}")).as_py()
    octets = log["address_prefix"].unique().to_pylist()
    assert all(one.startswith(("10.", "2001:db8:")) for one in octets), "addresses that could be somebody's"
