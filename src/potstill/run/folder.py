"""The run folder: making and opening one, the recipe inside it, and the lock that keeps two processes apart."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import yaml

from potstill.config import Recipe, load_recipe
from potstill.errors import PotstillError, RecipeError
from potstill.run.inputs import resolved
from potstill.run.markers import partial_path, put_in_place, write_aside

_LOCK = ".lock"


def find_recipe(name: str) -> Path:
    """The recipe file that a person means: a path, or the bare name of a recipe that ships with the package."""
    path = Path(name)
    if path.is_file() or path.suffix or len(path.parts) != 1:
        return path
    packaged = Path(str(resources.files("potstill"))) / "data" / name / "recipe.yaml"
    return packaged if packaged.is_file() else path


def default_folder(recipe: Recipe) -> Path:
    """Where a run goes when nobody says otherwise."""
    return Path("runs") / recipe.name


def create_folder(folder: Path, recipe: Recipe) -> None:
    """Make the folder of a run, or check that it is this run's. Raises RecipeError where something else is there."""
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"{folder}: is a file; choose another folder with --out")
    if folder.is_dir() and not is_run(folder):
        # A crash before the recipe took its place leaves the lock, perhaps the recipe and the line that records it.
        left = {one.name for one in folder.iterdir()}
        ours = {_LOCK, partial_path(folder / "recipe.yaml").name}
        if left & ours == ours:
            ours |= {"ledger.jsonl", "ledger.head", "ledger.head.part"}
        if left - ours:
            raise RecipeError(f"{folder}: holds files but no run; choose an empty or new folder with --out")
    elif folder.is_dir() and (name := _recorded_name(folder)) != recipe.name:
        raise RecipeError(f"{folder}: holds the run {name!r}, not {recipe.name!r}; choose another folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise RecipeError(f"{folder}: cannot be made ({error.strerror}); choose another folder with --out") from None


def _recorded_name(folder: Path) -> object:
    """Read without checking the rest: a recipe that an older version wrote is about to be replaced."""
    try:
        data = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RecipeError(f"{folder / 'recipe.yaml'}: cannot be read ({error}); choose another --out") from None
    return data.get("name") if isinstance(data, dict) else None


def require_run(folder: Path) -> None:
    """Raise RecipeError where a folder is not a run."""
    if not is_run(folder):
        raise RecipeError(
            f"{folder}: not a run folder; `potstill run RECIPE` makes one, under runs/ if nothing else is said"
        )


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's. A recipe alone is none: people keep a recipe.yaml in all sorts of folders."""
    marks = ("ledger.jsonl", "stages", _LOCK)
    return (folder / "recipe.yaml").is_file() and any((folder / mark).exists() for mark in marks)


def read_recipe(folder: Path) -> Recipe:
    """The recipe that a run folder was last run with."""
    require_run(folder)
    return load_recipe(folder / "recipe.yaml")


def recipe_text(recipe: Recipe) -> str:
    """What recipe.yaml of the run folder holds."""
    return yaml.safe_dump(dict(resolved(recipe)), sort_keys=False, allow_unicode=True)


def write_recipe(folder: Path, recipe: Recipe, note: Callable[[str], object]) -> bool:
    """Keep the resolved recipe in the folder. True where it replaced another one.

    `note` is given the text's SHA-256 and records it before the text takes its place.
    """
    path, text = folder / "recipe.yaml", recipe_text(recipe)
    old = path.read_text(encoding="utf-8") if path.exists() else None
    if old != text:
        write_aside(path, text)
    note(hashlib.sha256(text.encode()).hexdigest())
    if old != text:
        put_in_place(path)
    return old is not None and old != text


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder for one process. Raises PotstillError at once where another process works on it.

    The kernel lets go of the lock when the process ends, however it ends, so no lock is ever left behind.
    """
    with (folder / _LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise PotstillError(
                f"{folder}: another potstill process (pid {owner}) is working on this run; wait for it or stop it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # a folder that nobody works on holds nothing that changes from day to day


def is_locked(folder: Path) -> bool:
    """Whether a process is working on this run right now."""
    try:
        with (folder / _LOCK).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
