"""All evidence at once: a row of features an account, and the links of every kind between accounts."""

from typing import TYPE_CHECKING

import pyarrow as pa

from potstill.guard.evidence.activity import hours, ramp
from potstill.guard.evidence.changes import own_history, plan_use, release_shift
from potstill.guard.evidence.coactivation import coactive_pairs
from potstill.guard.evidence.failover import failover_links
from potstill.guard.evidence.links import Link
from potstill.guard.evidence.phrasing import phrasing
from potstill.guard.evidence.requests import one_shot, requests
from potstill.guard.evidence.sharing import SHARED, shared, signup_batches
from potstill.guard.evidence.templates import near_duplicate_links, template_links, template_use

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def account_features(connection: "DuckDBPyConnection") -> pa.Table:
    """The columns of `requests` and of the functions that are named below, a row an account.

    Null stands where an account's events lack what a feature needs; `needs.missing_evidence` says it of whole stores.
    Events without an account count for nobody.
    """
    table = requests(connection)
    for others in (hours, ramp, one_shot, plan_use, release_shift, own_history, template_use, phrasing):
        table = table.join(others(connection), "account", join_type="left outer")
    return table.sort_by("account")


def account_links(connection: "DuckDBPyConnection") -> list[Link]:
    """Every link of every kind, by kind."""
    return shared_links(connection) + coactive_pairs(connection)


def shared_links(connection: "DuckDBPyConnection") -> list[Link]:
    """Every link but those of coactivity, by kind."""
    found = [link for kind in SHARED for link in shared(connection, kind)]
    found += signup_batches(connection)
    found += template_links(connection)
    found += near_duplicate_links(connection)
    return found + failover_links(connection)
