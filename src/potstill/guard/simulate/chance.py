"""Random numbers by name: what one part of a simulation draws does not depend on which other parts there are."""

import zlib

import numpy as np


def chance(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of this seed and these names."""
    numbers = [one if isinstance(one, int) else zlib.crc32(one.encode("utf-8")) for one in names]
    return np.random.default_rng([seed, *numbers])
