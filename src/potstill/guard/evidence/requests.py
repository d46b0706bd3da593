"""What an account asks for: lengths, limits that are used up, log-probabilities, and prompts that come only once."""

from typing import TYPE_CHECKING

import pyarrow as pa

from potstill.guard.evidence.names import name_accounts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def requests(connection: "DuckDBPyConnection") -> pa.Table:
    """Counts and ratios of an account's requests, a row an account.

    `output_input_ratio` tokens out over tokens in, of requests with both; `saturated_share` answers that have
    max_tokens tokens, of requests that set it; `logprobs` and `logprobs_and_bias` requests for log-probabilities, and
    those with a logit bias; `several_answers` with n over 1; `temperatures` how many different ones; `failed_share`
    with a status of 400 or more, of those with one; `addresses`, `clients`, `models` how many different ones.
    """
    return connection.sql(
        """
        SELECT account, count(*) AS events, sum(input_tokens)::BIGINT AS input_tokens,
          sum(output_tokens)::BIGINT AS output_tokens,
          sum(output_tokens) FILTER (WHERE input_tokens IS NOT NULL)
            / nullif(sum(input_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0) AS output_input_ratio,
          avg((output_tokens >= max_tokens)::INT) AS saturated_share,
          count(*) FILTER (WHERE logprobs) AS logprobs,
          count(*) FILTER (WHERE logprobs AND logit_bias) AS logprobs_and_bias,
          count(*) FILTER (WHERE n > 1) AS several_answers,
          count(DISTINCT temperature) AS temperatures,
          avg((status >= 400)::INT) AS failed_share,
          count(DISTINCT address_prefix) AS addresses, count(DISTINCT client) AS clients,
          count(DISTINCT model) AS models
        FROM events WHERE account IS NOT NULL GROUP BY account ORDER BY account
        """
    ).to_arrow_table()


def one_shot(connection: "DuckDBPyConnection") -> pa.Table:
    """How much of an account's use comes only once, a row an account.

    `single_prompt_share` requests whose prompt the account sent once; `single_turn_share` conversations of one request.
    Null where no event of the account has the field.
    """
    name_accounts(connection)
    return connection.sql(
        """
        WITH prompts AS (
          SELECT account::account_name AS account, hash(prompt) AS prompt, count(*) AS times FROM events
          WHERE account IS NOT NULL AND prompt IS NOT NULL GROUP BY ALL
        ), conversations AS (
          SELECT account::account_name AS account, hash(conversation) AS conversation, count(*) AS times FROM events
          WHERE account IS NOT NULL AND conversation IS NOT NULL GROUP BY ALL
        ), accounts AS (SELECT DISTINCT account::account_name AS account FROM events WHERE account IS NOT NULL)
        SELECT account::VARCHAR AS account, single_prompt_share, single_turn_share FROM accounts
        LEFT JOIN (
          SELECT account, count(*) FILTER (WHERE times = 1) / sum(times) AS single_prompt_share
          FROM prompts GROUP BY account
        ) USING (account)
        LEFT JOIN (
          SELECT account, avg((times = 1)::INT) AS single_turn_share FROM conversations GROUP BY account
        ) USING (account)
        ORDER BY account
        """
    ).to_arrow_table()
