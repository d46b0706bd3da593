"""From a recipe file to a checked recipe, and from what is wrong with it to one line."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from potstill.config.evaluation import Task
from potstill.config.judging import Judging
from potstill.config.recipe import Recipe
from potstill.config.requests import read_files
from potstill.config.sections import ModelStudent, PrunedStudent, ScratchStudent, Teacher
from potstill.errors import RecipeError


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, apply `a.b=c` overrides, check all of it, and make its paths absolute.

    Raises RecipeError with the file and the field on the first thing that is wrong.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe; write one with `potstill init`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{path}{line}: not valid YAML ({getattr(error, 'problem', None) or error})") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping with name, teacher, prompts and student")
    for override in overrides:
        _apply(data, override)
    return recipe_from(data, path.parent, str(path))


def recipe_from(data: Mapping[str, Any], base: Path, origin: str) -> Recipe:
    """Check a recipe that is a mapping already; relative paths start from `base`, and errors name `origin`."""
    try:
        recipe = Recipe.model_validate(read_files(data, base, origin))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = _in_words(first)
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise RecipeError(f"{origin}: {where + ': ' if where else ''}{what}{more}") from None
    return _absolute(recipe, base.resolve())


def _in_words(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "no such key; `potstill init` writes a recipe that shows every key"
    message: str = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = f", not {given!r}" if isinstance(given, str | int | float | bool) and error["type"] != "value_error" else ""
    return message + shown


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override}: write it as a.b=c, for example --set train.epochs=2")
    *parents, last = key.split(".")
    section: Any = data
    for parent in parents:
        if section.get(parent) is None:  # an empty section
            section[parent] = {}
        section = section[parent]
        if not isinstance(section, dict):
            raise RecipeError(f"--set {override}: {parent} is not a section of the recipe")
    try:
        section[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise RecipeError(f"--set {override}: the value is not valid YAML") from None


def _absolute(recipe: Recipe, base: Path) -> Recipe:
    def reference(text: str) -> str:
        return f"path:{base / text.removeprefix('path:')}" if text.startswith("path:") else text

    def placed(teacher: Teacher) -> dict[str, str]:
        return {"model": reference(teacher.model)} if teacher.model is not None else {}

    places = {"source": base / recipe.prompts.source}
    if recipe.prompts.withdrawn is not None:
        places["withdrawn"] = base / recipe.prompts.withdrawn
    prompts = recipe.prompts.model_copy(update=places)
    teacher = recipe.teacher.model_copy(update=placed(recipe.teacher))
    more = tuple(one.model_copy(update=placed(one)) for one in recipe.more_teachers)
    student: PrunedStudent | ModelStudent | ScratchStudent = recipe.student
    if isinstance(student, ModelStudent):
        student = student.model_copy(update={"model": reference(student.model)})
    elif isinstance(student, ScratchStudent) and student.tokenizer is not None:
        student = student.model_copy(update={"tokenizer": reference(student.tokenizer)})
    use = recipe.use
    if use.permissions:
        found = [one.model_copy(update={"file": base / one.file}) for one in use.permissions.values()]
        first = found.pop(0) if use.permission is not None else None
        use = use.model_copy(update={"permission": first, "more_permissions": tuple(found)})
    terms = recipe.terms.model_copy(update={"rules": tuple(base / path for path in recipe.terms.rules)})
    screen = recipe.screen
    sets = tuple(one.model_copy(update={"source": base / one.source}) for one in screen.contamination)
    schema = base / screen.json_schema if isinstance(screen.json_schema, Path) else screen.json_schema
    screen = screen.model_copy(update={"contamination": sets, "json_schema": schema})
    files = {
        name: {rule: base / file for rule, file in getattr(recipe.export, name).items()}
        for name in ("licence_files", "notice_files")
    }
    evaluate = recipe.evaluate
    if evaluate.judge is not None:
        evaluate = evaluate.model_copy(update={"judge": _placed_judging(evaluate.judge, base, reference)})
    if evaluate.task is not None:
        evaluate = evaluate.model_copy(update={"task": _placed_task(evaluate.task, base)})
    if evaluate.lm_eval is not None:
        evaluate = evaluate.model_copy(update={"lm_eval": evaluate.lm_eval.placed(base)})
    if (file := evaluate.probes.file) is not None:
        evaluate = evaluate.model_copy(update={"probes": evaluate.probes.model_copy(update={"file": base / file})})
    update = {
        "screen": screen,
        "evaluate": evaluate,
        "export": recipe.export.model_copy(update=files),
        "prompts": prompts,
        "teacher": teacher,
        "more_teachers": more,
        "student": student,
        "use": use,
        "terms": terms,
    }
    return recipe.model_copy(update=update)


def _placed_judging(judging: Judging, base: Path, reference: Callable[[str], str]) -> Judging:
    judges = tuple(
        one if one.model is None else one.model_copy(update={"model": reference(one.model)}) for one in judging.judges
    )
    calibration = base / judging.calibration if judging.calibration is not None else None
    return judging.model_copy(update={"judges": judges, "calibration": calibration})


def _placed_task(task: Task, base: Path) -> Task:
    schema = base / task.json_schema if isinstance(task.json_schema, Path) else task.json_schema
    functions = tuple(
        one if one.file is None else one.model_copy(update={"function": str(base / one.function)})
        for one in task.functions
    )
    references = base / task.references if task.references is not None else None
    return task.model_copy(update={"references": references, "json_schema": schema, "functions": functions})
