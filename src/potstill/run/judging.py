"""What a judge of the answers will be asked and cost, in words for the plan."""

from collections.abc import Sequence

from potstill.config import Recipe
from potstill.run.cost import bounds, usd

# Before anything is asked nothing is known of its tokens; the plan says that these are counted so.
_CHARACTERS_PER_TOKEN = 4
_FORM_CHARACTERS = 400  # how Potstill tells a judge what to do, and the marks around conversation and answer


def describe_judging(recipe: Recipe, requests: int, prompt_tokens: int) -> Sequence[str]:
    """Lines about the judge and its terms; none where the recipe has no judge.

    `requests` answers are judged at most, to prompts of `prompt_tokens` tokens together.
    """
    from potstill.terms.judge import decide_judge, in_words

    judge, decision = recipe.screen.judge, decide_judge(recipe)
    if judge is None or decision is None:
        return ()
    prices, samples = judge.endpoint.price_per_million, recipe.collect.answers_per_prompt
    cost = "at unknown cost (screen.judge.endpoint.price_per_million is not in the recipe)"
    if prices is not None:
        told = requests * ((len(judge.rubric) + _FORM_CHARACTERS) // _CHARACTERS_PER_TOKEN) + prompt_tokens * samples
        least, _ = bounds(prices, told + requests, requests, judge.max_new_tokens)
        _, most = bounds(prices, told + requests * recipe.collect.max_new_tokens, requests, judge.max_new_tokens)
        cost = f"for {usd(least)} to {usd(most)}, estimated at {_CHARACTERS_PER_TOKEN} characters a token"
    budget = "; collect.budget_usd counts it too" if recipe.collect.budget_usd is not None else ""
    asked = f"judge: {judge.endpoint.model} is asked about at most {requests:,} answers {cost}{budget}"
    return (asked, f"terms: {in_words(decision.message)}")
