"""What a scan came to, in lines for a person."""

from collections import Counter
from collections.abc import Iterator

from potstill.guard.cases.scan import Scanned


def lines(found: Scanned) -> Iterator[str]:
    """The lines that `potstill guard scan` prints after those of reading."""
    about = found.about
    yield (
        f"{about['events']:,} events of {about['accounts']:,} accounts, {about['customers']:,} customers, "
        f"from {about['from']} to {about['to']}"
    )
    if not about["enough_customers"]:
        yield "not enough data: with fewer than 20 customers nothing can be told apart from chance"
    for name in about["organizations_that_are_no_customer"]:
        yield f"organization {name} holds most accounts, so it is not taken for one customer"
    if about["groups_asked"]:
        needed = about["groups_at_smallest_p_needed"]
        yield (
            f"{about['groups_asked']:,} groups were asked, {about['permutations']:,} permutations each at most; the "
            f"smallest p that can be reached is {about['smallest_p']:.2g}, and {needed:,} "
            f"{'has' if needed == 1 else 'have'} to reach it to be evidence at a false discovery rate of "
            f"{about['level']:g}"
        )
    if "calibration" in about:
        shuffled = about["calibration"]
        yield (
            f"calibration: with the evidence of each kind shuffled, {shuffled['replicas_with_alarm']:,} of "
            f"{shuffled['replicas']:,} scans accuse anybody (at most {shuffled['alarm_rate_at_most']:.1%} at 95 %), "
            f"and {shuffled['customer_rate']:.3%} of {shuffled['customers']:,} customers on average"
        )
    yield from about.get("licences_of_nobody", ())
    for gap in found.gaps:
        yield f"cannot be seen: {gap.shows} ({gap.kind}: no event has {', '.join(gap.missing)})"
    counts = Counter(case.outcome for case in found.cases)
    yield "cases: " + ", ".join(f"{counts[one]:,} {one}" for one in ("evidence", "not enough data", "no evidence"))
    for case in found.cases:
        if case.outcome != "no evidence" or case.explained_by:
            kinds = "+".join(one.family for one in case.evidence)
            end = f", explained by {case.explained_by}" if case.explained_by else ""
            yield (
                f"  {case.id}  {case.outcome}: {len(case.accounts):,} accounts, {kinds}, p = {case.p_value:.2g}, "
                f"q = {case.q_value:.2g}, some {case.exchanges:,} exchanges, {case.action}{end}"
            )
