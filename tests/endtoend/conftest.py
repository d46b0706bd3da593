"""What holds for whole runs in the tests."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

_MEASURE_MEMORY = ("test_run",)  # and the README's commands, which are processes of their own


@pytest.fixture(scope="module", autouse=True)
def _peaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """To measure memory takes half of a tiny run, by importing torch once more: some modules do, others count bytes."""

    def weights(folders: Mapping[str, Path], *rest: object) -> dict[str, int]:
        return {
            name: sum(path.stat().st_size for path in folder.glob("*.safetensors")) for name, folder in folders.items()
        }

    with pytest.MonkeyPatch.context() as patch:
        if request.module.__name__ not in _MEASURE_MEMORY:
            patch.setattr("potstill.evaluate.speed_figures.peak_memory_bytes", weights)
        yield
