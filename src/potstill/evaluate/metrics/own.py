"""Metrics of the user's own: a Python function, found by reference, whose every fault is one line with the row."""

import hashlib
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from potstill.config import OwnMetric
from potstill.errors import RecipeError

Scoring = Callable[[str, str, str], float]  # answer, reference and prompt to a number within the metric's range


def load_own(own: OwnMetric) -> tuple[Scoring, str | None]:
    """The function, and the SHA-256 of the file that it stands in, where there is one.

    Loading runs the file, as importing does. Raises RecipeError where there is no such function, or it takes neither
    (answer, reference) nor (answer, reference, prompt); the function that is given back raises it for what it gives.
    """
    where = f"evaluate.task.functions: {own.function}"
    place, _, name = own.function.rpartition(":")
    module = _module(own, place, where)
    function = getattr(module, name, None)
    if not callable(function):
        raise RecipeError(f"{where}: {place} has no function {name}")
    takes_prompt = _takes(function, 3)
    if not takes_prompt and not _takes(function, 2):
        raise RecipeError(f"{where}: must take (answer, reference) or (answer, reference, prompt)")
    low, high = own.range

    def score(answer: str, reference: str, prompt: str) -> float:
        try:
            given = function(answer, reference, prompt) if takes_prompt else function(answer, reference)
        except Exception as error:  # whatever its author lets happen
            said = " ".join(str(error).split())[:200]
            raise RecipeError(f"{where}: raised {type(error).__name__}{f' ({said})' if said else ''}") from None
        value = float(given) if isinstance(given, Real) else math.nan
        if not math.isfinite(value):
            raise RecipeError(f"{where}: gave {given!r:.100}, which is no number")
        if not low <= value <= high:
            raise RecipeError(f"{where}: gave {given!r:.100}, which is outside its range of {low:g} to {high:g}")
        return value

    source = inspect.getsourcefile(module)
    return score, hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else None


def _module(own: OwnMetric, place: str, where: str) -> ModuleType:
    try:
        if own.file is None:
            return importlib.import_module(place)
        name = f"potstill_own_{hashlib.sha256(place.encode()).hexdigest()[:16]}"
        spec = importlib.util.spec_from_file_location(name, own.file)
        if spec is None or spec.loader is None:
            raise RecipeError(f"{where}: {place} cannot be read as Python")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look for their module there
        spec.loader.exec_module(module)
    except FileNotFoundError as error:
        raise RecipeError(f"{where}: {error.filename or place}: no such file") from None
    except RecipeError:
        raise
    except Exception as error:  # a module may raise anything while it is run
        said = " ".join(str(error).split())[:200]
        raise RecipeError(f"{where}: cannot be imported ({type(error).__name__}: {said})") from None
    return module


def _takes(function: Callable[..., Any], arguments: int) -> bool:
    try:
        inspect.signature(function).bind(*[""] * arguments)
    except (TypeError, ValueError):
        return False
    return True
