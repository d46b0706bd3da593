"""What judges of the answers will be asked and cost, in words for the plan."""

from collections.abc import Sequence

from potstill.config import Endpoint, Judging, Recipe
from potstill.run.cost import bounds, usd

# Before anything is asked nothing is known of its tokens; the plan says that these are counted so.
_CHARACTERS_PER_TOKEN = 4
_FORM_CHARACTERS = 400  # how Potstill tells a judge what to do, and the marks around conversation and answer


def describe_judging(recipe: Recipe, requests: int, asked_tokens: int) -> Sequence[str]:
    """Lines about the judge and its terms; none where the recipe has no judge.

    `requests` answers are judged at most; the prompts of these requests have `asked_tokens` tokens together.
    """
    from potstill.terms.judge import decide_judge, in_words

    judge, decision = recipe.screen.judge, decide_judge(recipe)
    if judge is None or decision is None:
        return ()
    prices = judge.endpoint.price_per_million
    cost = "at unknown cost (screen.judge.endpoint.price_per_million is not in the recipe)"
    if prices is not None:
        told = requests * ((len(judge.rubric) + _FORM_CHARACTERS) // _CHARACTERS_PER_TOKEN) + asked_tokens
        least, _ = bounds(prices, told + requests, requests, judge.max_new_tokens)
        _, most = bounds(prices, told + requests * recipe.collect.max_new_tokens, requests, judge.max_new_tokens)
        cost = f"for {usd(least)} to {usd(most)}, estimated at {_CHARACTERS_PER_TOKEN} characters a token"
    budget = "; collect.budget_usd counts it too" if recipe.collect.budget_usd is not None else ""
    asked = f"judge: {judge.endpoint.model} is asked about at most {requests:,} answers {cost}{budget}"
    return (asked, f"terms: {in_words(decision.message)}")


def describe_evaluation_judges(recipe: Recipe, answers: int, prompt_tokens: int) -> Sequence[str]:
    """Lines about the judges of the evaluation and their terms; none where the recipe has none.

    `answers` of each model are judged at most, to prompts of `prompt_tokens` tokens, those of each answer counted.
    """
    from potstill.terms import kinship
    from potstill.terms.judge import decide_judges, in_words

    judging = recipe.evaluate.judge
    if judging is None:
        return ()
    kin, lines = kinship(recipe), []
    models = 1 + (len(recipe.evaluate.baselines) if judging.baselines else 0)
    pairs = 2 * models * answers if judging.pairwise else 0
    scores = (models + 1) * answers if judging.rubric is not None else 0
    for name, decision in decide_judges(recipe).items():
        endpoint = judging.named[name].endpoint
        cost = "here, at no cost"
        if endpoint is not None:
            read = (pairs + scores) * prompt_tokens / max(answers, 1)
            longest = recipe.collect.max_new_tokens
            cost = _price(judging, endpoint, pairs + scores, 2 * pairs + scores, read, longest)
        of_pairs = f"{pairs:,} about pairs of answers in both orders" if pairs else "none about pairs"
        lines.append(
            f"judge of the evaluation: {name} is asked at most {pairs + scores:,} questions ({of_pairs}, {scores:,} "
            f"about one answer) {cost}"
        )
        if name in kin:
            lines.append(f"judge of the evaluation: {name} is not independent: {kin[name]}; the report flags it")
        lines.append(f"terms: {in_words(decision.message, f'evaluate.judge.judges.{name}')}")
    return lines


def _price(
    judging: Judging, endpoint: Endpoint, requests: int, answers: int, prompt_tokens: float, longest: int
) -> str:
    """What so many questions cost that show so many answers of up to `longest` tokens, beside their prompts."""
    prices = endpoint.price_per_million
    if prices is None:
        return "at unknown cost (price_per_million of its endpoint is not in the recipe)"
    told = requests * ((len(judging.rubric or "") + _FORM_CHARACTERS) // _CHARACTERS_PER_TOKEN)
    read = told + prompt_tokens
    least, _ = bounds(prices, read + answers, requests, judging.max_new_tokens)
    _, most = bounds(prices, read + answers * longest, requests, judging.max_new_tokens)
    budget = "; evaluate.judge.budget_usd stops before it" if judging.budget_usd is not None else ""
    return f"for {usd(least)} to {usd(most)}, estimated at {_CHARACTERS_PER_TOKEN} characters a token{budget}"
