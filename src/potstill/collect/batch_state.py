"""What became of a batch in words, and which of its requests are not asked again."""

from collections.abc import Mapping

from potstill.collect.batch_results import Tally
from potstill.errors import PotstillError
from potstill.models.batches import BatchState
from potstill.store.journal import Failure


def words_of(state: BatchState, tally: Tally) -> str:
    """One line: how the batch ended, what it answered, why the others failed, what was odd."""
    otherwise = f"{state.failed:,} failed, and no error file says why" if state.failed and not tally.again else ""
    return ", ".join([state.status, tally.in_words(otherwise), *([state.words] if state.words else [])])


def asked_again(tries: Mapping[str, int], tally: Tally, words: str, max_attempts: int) -> list[Failure]:
    """The requests without an outcome that have been in so many batches that they are error rows; the others go on."""
    return [
        Failure(key, tally.again.get(key) or f"no line for it in the batch ({words})", permanent=False, attempts=number)
        for key, number in tries.items()
        if number >= max_attempts
    ]


def gone(where: str, error: Exception) -> PotstillError:
    """The end of a run whose server cannot be asked."""
    words = str(error) if str(error).startswith(where) else f"{where}: {error}"
    return PotstillError(f"{words}; what is collected is kept")
