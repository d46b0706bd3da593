"""What one would try first, a score an account: a rate limit, near-duplicates of its own, MMD against the pool."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PROMPTS = 40  # of an account that MMD looks at
WIDTH = 1_024  # of hashed TF-IDF
FREQUENCIES = 256  # random Fourier features of the Gaussian kernel


def rate(connection: "DuckDBPyConnection") -> dict[str, float]:
    """Most requests of an account in an hour."""
    return _scores(
        connection,
        """
        SELECT account, max(n) FROM (
          SELECT account, date_trunc('hour', time) AS hour, count(*) AS n FROM events GROUP BY ALL
        ) GROUP BY account
        """,
    )


def near_duplicates(connection: "DuckDBPyConnection") -> dict[str, float]:
    """Most prompts of an account that begin alike: 60 characters, numbers masked."""
    return _scores(
        connection,
        """
        SELECT account, max(n) FROM (
          SELECT account, left(regexp_replace(lower(left(prompt, 120)), '[0-9]+', '_', 'g'), 60) AS begins,
            count(*) AS n FROM events WHERE prompt IS NOT NULL GROUP BY ALL
        ) GROUP BY account
        """,
    )


def pooled_mmd(connection: "DuckDBPyConnection") -> dict[str, float]:
    """Squared MMD, without its bias, of an account's prompts and everybody's; words hashed, TF-IDF, Gaussian kernel."""
    from scipy.sparse import csr_array

    rows = connection.execute(
        """
        WITH looked_at AS (
          SELECT account, prompt FROM events WHERE prompt IS NOT NULL
          QUALIFY row_number() OVER (PARTITION BY account ORDER BY hash(prompt)) <= $most
        ), numbered AS (SELECT account, left(prompt, 1000) AS said, row_number() OVER () - 1 AS number FROM looked_at)
        SELECT account, number, hash(word) % $width AS word, count(*) AS n
        FROM (SELECT account, number, unnest(string_split_regex(lower(said), '[^a-z]+')) AS word FROM numbered)
        GROUP BY ALL
        """,
        {"most": PROMPTS, "width": WIDTH},
    ).fetchnumpy()
    number, word = rows["number"].astype(np.int64), rows["word"].astype(np.int64)
    counts = csr_array((rows["n"].astype(float), (number, word)), shape=(int(number.max()) + 1, WIDTH))
    weight = np.log(counts.shape[0] / (1 + (counts > 0).sum(axis=0)))
    scaled = counts * np.maximum(weight, 0)
    norm = np.sqrt((scaled * scaled).sum(axis=1))
    rng = np.random.default_rng(0)
    projected = (scaled @ rng.normal(size=(WIDTH, FREQUENCIES))) / np.maximum(norm, 1e-9)[:, None]
    features = np.sqrt(2 / FREQUENCIES) * np.cos(projected + rng.uniform(0, 2 * np.pi, FREQUENCIES))
    names, first = np.unique(rows["account"].astype(str), return_inverse=True)
    of = np.zeros(len(features), np.int64)
    of[number] = first
    order = np.argsort(of, kind="stable")
    begins = np.searchsorted(of[order], np.arange(len(names)))
    count = np.diff(begins, append=len(of))
    sums = np.add.reduceat(features[order], begins, axis=0)
    squares = np.add.reduceat((features[order] ** 2).sum(axis=1), begins)
    means = sums / count[:, None]
    spread = squares - count * (means**2).sum(axis=1)  # squared distances from the account's mean
    bias = spread / np.maximum(count * (count - 1), 1)
    scores = ((means - features.mean(axis=0)) ** 2).sum(axis=1) - bias
    return {str(name): float(score) for name, score, n in zip(names, scores, count, strict=True) if n > 1}


BASELINES: dict[str, Any] = {"rate limit": rate, "near duplicates": near_duplicates, "pooled MMD": pooled_mmd}


def _scores(connection: "DuckDBPyConnection", query: str) -> dict[str, float]:
    return {account: float(score) for account, score in connection.execute(query).fetchall() if account is not None}
