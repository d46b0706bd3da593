"""One time limit for many tasks: who is too late, who is not, and who was cancelled for another reason."""

import asyncio
import time

import pytest

from potstill.models.deadline import Deadline

LIMIT_S = 0.1


async def stay(deadline: Deadline, seconds: float, after_s: float = 0.0) -> str:
    await asyncio.sleep(after_s)
    try:
        with deadline:
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "late"
    return "done"


def test_each_task_has_its_own_end() -> None:
    deadline = Deadline(LIMIT_S)

    async def work() -> list[str]:
        late, soon = [stay(deadline, 10, at * 0.02) for at in range(5)], [stay(deadline, 0.01, at) for at in (0, 0.05)]
        return await asyncio.gather(*late, *soon)

    for _ in range(2):  # another loop, the same deadline
        started = time.monotonic()
        assert asyncio.run(work()) == ["late"] * 5 + ["done"] * 2
        assert LIMIT_S < time.monotonic() - started < 5


def test_a_task_goes_on_after_its_timeout() -> None:
    async def work() -> list[str]:
        deadline = Deadline(LIMIT_S)
        return [await stay(deadline, seconds) for seconds in (10, 0.01, 10)]

    assert asyncio.run(work()) == ["late", "done", "late"]


@pytest.mark.parametrize("cancelled_s", [0.01, LIMIT_S])
def test_a_cancelled_task_is_cancelled(cancelled_s: float) -> None:
    async def work() -> asyncio.Task[str]:
        deadline = Deadline(LIMIT_S)
        task = asyncio.create_task(stay(deadline, 10))
        while task not in deadline._within:
            await asyncio.sleep(0)
        # In the same turn of the loop as the deadline, or before it.
        asyncio.get_running_loop().call_at(deadline._within[task][0] - LIMIT_S + cancelled_s, task.cancel)
        await asyncio.wait([task])
        return task

    assert asyncio.run(work()).cancelled()


def test_an_error_of_its_own_comes_through() -> None:
    async def work() -> None:
        with Deadline(LIMIT_S):
            raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        asyncio.run(work())
