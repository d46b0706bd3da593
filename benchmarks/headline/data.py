"""CLINC150's queries as prompts with gold labels, in the split that the data set has."""

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

FOLDER = "CLINC150"  # the environment variable that names the data set's folder
# What two cores get through in half an hour: the first domains of its ten, of each of their intents the first of its
# 100 training queries, and all of its 30 test queries.
DOMAINS, TRAINING_QUERIES = 3, 60
ORIGIN = "https://github.com/clinc/oos-eval"
NEEDS = f"""\
This benchmark needs CLINC150 (Larson et al. 2019; CC BY 3.0), which is not part of Potstill. Get data_full.json
(or data_full.json.gz) and domains.json from the folder data of {ORIGIN}, then

    make benchmark-headline {FOLDER}=DIR
"""


def source_folder(given: str | None) -> Path:
    """The data set's folder, from the command line or the environment; says what is needed where there is none."""
    named = given or os.environ.get(FOLDER)
    if not named:
        sys.exit(NEEDS)
    folder = Path(named)
    missing = [name for name in ("data_full.json", "domains.json") if find(folder, name) is None]
    if missing:
        sys.exit(f"{folder}: no {' and no '.join(missing)} there\n\n{NEEDS}")
    return folder


def find(folder: Path, name: str) -> Path | None:
    """The file, plain or gzipped."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def write_rows(folder: Path, target: Path, per_intent: int | None = None) -> None:
    """One JSON object a query of the first domains' intents: prompt, intent, and split, train or test.

    `per_intent` takes only the first so many training and test queries of each intent, to try the benchmark out.
    """
    most = {"train": min(TRAINING_QUERIES, per_intent or TRAINING_QUERIES), "test": per_intent}
    domains = _read(folder, "domains.json")
    intents = {intent for names in list(domains.values())[:DOMAINS] for intent in names}
    queries = _read(folder, "data_full.json")
    lines, taken = [], dict[tuple[str, str], int]()
    for split in ("train", "test"):
        for text, intent in queries[split]:
            taken[split, intent] = taken.get((split, intent), 0) + 1
            limit = most[split]
            if intent in intents and (limit is None or taken[split, intent] <= limit):
                # The model writes words, not names of variables.
                row = {"prompt": text, "intent": intent.replace("_", " "), "split": split}
                lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(lines), encoding="utf-8")


def _read(folder: Path, name: str) -> Any:
    path = find(folder, name)
    assert path is not None, name
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
