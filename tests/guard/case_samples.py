"""Cases as a scan writes them, with texts in them that nobody should see rendered or shared."""

from dataclasses import replace

from potstill.guard.cases.case import Case, Shown

ATTACK = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
TEMPLATE = f"you are a careful tutor {ATTACK} solve the task number _ ‮"
ACCOUNTS = tuple(f"{number:024x}" for number in range(11, 17))


def sample(**changes: object) -> Case:
    """A case with evidence."""
    evidence = (
        Shown("payment", ("payment",), 6, None, "accounts that one card pays for", "a company", ("payment ab12, 6",)),
        Shown("content", ("templates", "phrasing"), 5, 1e-4, "the same templates", "a popular tool", (TEMPLATE,)),
    )
    case = Case(
        "case-0123456789ab", "evidence", 1e-4, 2e-3, 5e-5, ACCOUNTS, 6, evidence, 900, 1_000, 123_456, 234_567,
        "2026-01-05T08:00:00Z", "2026-01-20T09:30:00Z", ("reasoning", "code"), 0.01, None, "cap",
        ("6 accounts of 6 customers have in common: payment, content.", f"An example: {ATTACK}"),
    )  # fmt: skip
    return replace(case, **changes)  # type: ignore[arg-type]


ABOUT = {
    "events": 1_000_000, "from": "2026-01-05T00:00:00Z", "to": "2026-02-03T23:59:59Z", "accounts": 3_000,
    "customers": 2_900, "key_id": "0011aabb", "metadata_only": False, "seed": 0, "permutations": 9_999, "level": 0.05,
    "groups_asked": 40, "smallest_p": 1e-4, "groups_at_smallest_p_needed": 1, "enough_customers": True,
    "cannot_be_seen": [{"kind": "tls", "missing": ["tls_fingerprint"], "shows": f"one fingerprint {ATTACK}"}],
}  # fmt: skip
