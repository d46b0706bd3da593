"""What the months came to: detection by share of cover traffic, hard negatives, families held out, and baselines."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from potstill.stats import clopper_pearson

BUDGET = 0.001  # of benign accounts
Row = dict[str, Any]
Rule = tuple[float, int]  # a case is an alarm where q is at most this, with so many kinds of evidence
RULES: tuple[Rule, ...] = tuple((q, kinds) for q in (0.05, 0.01, 1e-3, 1e-4) for kinds in (2, 3, 4))


def lines(
    calibration: dict[str, Any], months: dict[float, dict[str, Any]], beside: dict[str, dict[str, Any]]
) -> Iterator[str]:
    """Everything that the benchmark prints; `months` by their share of cover traffic, `beside` by the piece's name."""
    frozen = sorted({one["detectors"] for one in (calibration, *months.values(), *beside.values())})
    yield f"detectors: sha256 {', '.join(frozen)} of evidence and cases; nothing in them was fitted to what follows"
    if len(frozen) > 1:
        yield "THE MONTHS WERE NOT ALL SCANNED BY THE SAME DETECTORS"
    before = calibration["accounts"]
    allowed = math.floor(BUDGET * sum(_benign(row) for row in before))
    usable = [rule for rule in RULES if _alarms(before, rule) <= allowed]
    yield f"calibration month: {calibration['events']:,} events, {len(before):,} benign accounts, none in a campaign"
    yield from _false_alarms(before, allowed)
    if not usable:
        yield "no rule keeps the budget on the calibration month: nothing can be said at this budget"
        return
    rule = usable[0]
    yield f"rule from it: q at most {rule[0]:g}, {rule[1]} kinds of evidence or more"
    yield from _curve(months, rule)
    yield from _by_family(months, lambda row: _alarm(row, rule))
    yield from _beside(beside, rule)
    yield from _negatives(before, months, rule)
    yield from _held_out(months, usable)
    yield from _baselines(before, months, allowed)


def _benign(row: Row) -> bool:
    return row["label"] != "campaign"


def _alarm(row: Row, rule: Rule) -> bool:
    return any(
        case["outcome"] == "evidence" and case["q_value"] <= rule[0] and case["families"] >= rule[1]
        for case in row["cases"]
    )


def _alarms(rows: Sequence[Row], rule: Rule) -> int:
    return sum(_alarm(row, rule) for row in rows if _benign(row))


def _share(name: str, hits: int, of: int) -> str:
    if not of:
        return f"  {name:<28} none"
    interval = clopper_pearson(hits, of)
    return f"  {name:<28} {hits:>5,} of {of:>5,}  {hits / of:7.2%}  [{interval.low:.2%}, {interval.high:.2%}]"


def _false_alarms(rows: Sequence[Row], allowed: int) -> Iterator[str]:
    benign = [row for row in rows if _benign(row)]
    yield f"benign accounts in a case with evidence (the budget of {BUDGET:.1%} is {allowed}):"
    for rule in RULES:
        yield _share(f"q <= {rule[0]:g}, {rule[1]} kinds", _alarms(benign, rule), len(benign))


def _curve(months: dict[float, dict[str, Any]], rule: Rule) -> Iterator[str]:
    yield "attack accounts in an alarm, by share of cover traffic; benign accounts of the same month in one:"
    for cover, month in sorted(months.items()):
        attack = [row for row in month["accounts"] if not _benign(row)]
        benign = [row for row in month["accounts"] if _benign(row)]
        yield _share(f"cover {cover:.0%}", sum(_alarm(row, rule) for row in attack), len(attack))
        yield _share("    benign", sum(_alarm(row, rule) for row in benign), len(benign))
    low = [row for cover, month in months.items() if cover <= 0.5 for row in month["accounts"] if not _benign(row)]
    yield _share("cover 50% or less, all", sum(_alarm(row, rule) for row in low), len(low))
    published = [row for row in low if row["kind"] != "adaptive"]
    yield _share("  without the adaptive one", sum(_alarm(row, rule) for row in published), len(published))


def _beside(beside: dict[str, dict[str, Any]], rule: Rule) -> Iterator[str]:
    """The month without texts, and the one with real prompts and arrivals, by the same rule."""
    for name, month in beside.items():
        yield f"{name}:"
        rows = month["accounts"]
        attack = [row for row in rows if not _benign(row)]
        yield _share("attack accounts", sum(_alarm(row, rule) for row in attack), len(attack))
        yield _share("benign accounts", _alarms(rows, rule), len(rows) - len(attack))
        for kind in sorted({row["kind"] for row in attack}):
            mine = [row for row in attack if row["kind"] == kind]
            yield _share(f"  {kind}", sum(_alarm(row, rule) for row in mine), len(mine))
        accused = sorted({row["kind"] for row in rows if _benign(row) and _alarm(row, rule)})
        yield f"  benign kinds in an alarm: {', '.join(accused) or 'none'}"


def _by_family(months: dict[float, dict[str, Any]], found: Callable[[Row], bool]) -> Iterator[str]:
    yield "by family, share of accounts in an alarm: " + ", ".join(f"cover {cover:.0%}" for cover in sorted(months))
    kinds = sorted({row["kind"] for month in months.values() for row in month["accounts"] if not _benign(row)})
    for kind in kinds:
        parts = []
        for _, month in sorted(months.items()):
            mine = [row for row in month["accounts"] if row["kind"] == kind and not _benign(row)]
            parts.append(f"{sum(map(found, mine)) / len(mine):5.0%}" if mine else "    -")
        yield f"  {kind:<28} {' '.join(parts)}   ({len(mine)} accounts)"


def _negatives(before: Sequence[Row], months: dict[float, dict[str, Any]], rule: Rule) -> Iterator[str]:
    """Of the calibration month and of one with campaigns: their customers differ."""
    rows = [*before, *(months[min(months)]["accounts"] if months else [])]
    yield "hard negatives, accounts in an alarm, two months; and in a case that comes out as explained:"
    for kind in sorted({row["kind"] for row in rows if row["label"] == "hard_negative"}):
        mine = [row for row in rows if row["kind"] == kind and _benign(row)]
        explained = sum(any(case["explained_by"] for case in row["cases"]) for row in mine)
        yield _share(kind, sum(_alarm(row, rule) for row in mine), len(mine)) + f"  explained {explained}"
    others = [row for row in rows if row["label"] == "benign"]
    yield _share("all other customers", sum(_alarm(row, rule) for row in others), len(others))


def _held_out(months: dict[float, dict[str, Any]], usable: Sequence[Rule]) -> Iterator[str]:
    """The rule that finds most accounts of the other families, within the budget, on the family that it did not see."""
    rows = [row for cover, month in months.items() if cover <= 0.5 for row in month["accounts"] if not _benign(row)]
    yield "one family held out (cover 50% or less): the rule is chosen by the others"
    for kind in sorted({row["kind"] for row in rows}):
        others = [row for row in rows if row["kind"] != kind]
        chosen = max(usable, key=lambda rule: (sum(_alarm(row, rule) for row in others), -rule[0], rule[1]))
        mine = [row for row in rows if row["kind"] == kind]
        hits = sum(_alarm(row, chosen) for row in mine)
        yield _share(kind, hits, len(mine)) + f"  q <= {chosen[0]:g}, {chosen[1]} kinds"


def _baselines(before: Sequence[Row], months: dict[float, dict[str, Any]], allowed: int) -> Iterator[str]:
    """Each with the threshold that only so many benign accounts of the calibration month pass."""
    for name in before[0]["scores"]:
        ranked = sorted((row["scores"][name] for row in before if _benign(row)), reverse=True)
        threshold = ranked[allowed]
        yield f"baseline {name}: an alarm above {threshold:.4g}"
        for cover, month in sorted(months.items()):
            attack = [row for row in month["accounts"] if not _benign(row)]
            hits = sum(row["scores"][name] > threshold for row in attack)
            yield _share(f"cover {cover:.0%}", hits, len(attack))
        narrow = [row for row in before if row["kind"] in ("narrow_saas", "drift_monitor", "classroom")]
        most = sorted(row["scores"][name] for row in before if row["label"] == "benign")
        usual = most[math.floor(0.99 * len(most))]  # the nominal 1 % of ordinary customers
        hits = sum(row["scores"][name] > usual for row in narrow)
        yield _share("single-topic ones at 1%", hits, len(narrow))
