"""Choosing layers: every layer tried in every round against only the few cheapest ones, on a finished quickstart run.

    make quickstart && make benchmark-pruning

Prints, for both sides in one run: seconds, layers kept, and KL to the teacher on held-out answers before any training.
"""

import copy
import sys
import time
from pathlib import Path

from potstill.answers import Answer, load_answers
from potstill.evaluate.fidelity import measure
from potstill.models.local import LocalModel
from potstill.run.folder import read_recipe
from potstill.students.layers import decoder_layers, keep_layers
from potstill.students.prune import calibration_set, choose_layers


def main(run: Path) -> None:
    recipe = read_recipe(run)
    if recipe.teacher.model is None or recipe.student.kind != "pruned":
        sys.exit(f"{run}: this benchmark needs a run with a local teacher and a pruned student")
    from potstill.models.fetch import fetch

    teacher = LocalModel.load(fetch(recipe.teacher.model, recipe.teacher.sha256))

    def answers(split: str) -> list[Answer]:
        return load_answers(run, split, {"ok"}, teacher.tokenizer, teacher.context_tokens, exact_tokens=True)

    calibration = calibration_set([one.example for one in answers("train")], recipe.student.calibration_tokens)
    held = [one.example for one in answers("holdout")]
    keep, last = recipe.student.keep_layers, len(decoder_layers(teacher.network)) - 1
    evenly = [round(index * last / max(keep - 1, 1)) for index in range(keep)]
    report("evenly spaced", 0.0, evenly, teacher, held)
    for name, candidates in (("4 cheapest a round", 4), ("every layer a round", None)):
        started = time.perf_counter()
        kept, _ = choose_layers(teacher.network, calibration, keep, candidates)
        report(name, time.perf_counter() - started, kept, teacher, held)


def report(name: str, seconds: float, kept: list[int], teacher: LocalModel, held: list) -> None:
    network = copy.deepcopy(teacher.network)
    keep_layers(network, kept)
    found = measure(LocalModel(network, teacher.tokenizer, teacher.identity), teacher, held)
    assert found.kl is not None
    assert found.agree is not None
    print(f"{name:>20}: {seconds:6.1f} s, KL {found.kl.mean():.2f} nats, top-1 {found.agree.mean():.3f}, kept {kept}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart"))
