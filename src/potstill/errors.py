"""Errors that a person sees: one line that says what, where and what to do, and the exit code that goes with it."""


class PotstillError(Exception):
    """A fault that ends the command with one line on standard error and `exit_code`; never a traceback."""

    exit_code = 1


class RecipeError(PotstillError):
    """The recipe, or a file that it names, is wrong (exit code 2)."""

    exit_code = 2


class NotAccepted(PotstillError):
    """The student missed what the recipe's `accept:` asks (exit code 3)."""

    exit_code = 3


class TermsStopped(PotstillError):
    """The teacher's terms do not clear this use (exit code 4)."""

    exit_code = 4


class Inconclusive(PotstillError):
    """The evidence is too thin to decide (exit code 5)."""

    exit_code = 5
