"""Whether lm-eval is there, asked before time or money goes into a run that will need it."""

from potstill.config import Recipe


def check_lm_eval(recipe: Recipe) -> None:
    """Raise RecipeError where the recipe asks for lm-eval's tasks and its interpreter has no lm-eval."""
    if recipe.evaluate.lm_eval is not None:
        from potstill.evaluate.lm_eval import lm_eval_version

        lm_eval_version(recipe.evaluate.lm_eval)
