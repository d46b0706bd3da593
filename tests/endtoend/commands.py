"""Commands of potstill, run in this process: a new one spends more time on importing torch than on a tiny run."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest

from potstill.cli import main


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def potstill(*words: str | Path) -> Said:
    with redirect_stdout(StringIO()) as told, redirect_stderr(StringIO()) as warned, pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    code = end.value.code
    assert isinstance(code, int)
    return Said(code, told.getvalue(), warned.getvalue())


def finish(recipe: Path, out: Path, *more: str) -> Said:
    """Run a recipe, which must succeed."""
    done = potstill("run", recipe, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    return done
