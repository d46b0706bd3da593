"""Every command that README and docs give is run: those of the make targets by `make -n`, all others for real."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from batch_server import answered
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from test_run import write_recipe

from guard.case_samples import ABOUT, sample
from potstill.guard.cases.case import CASES, write_cases
from potstill.run.signing import PrivateKey, sign
from tiny import make_tiny_model

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "recipes" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A run of the packaged recipe takes minutes and is what `make quickstart` does; here a tiny recipe stands in for it.
PLACES = {"recipe.yaml": "recipe.yaml", "recipes/offline.yaml": "recipe.yaml", "RECIPE": "recipe.yaml",
          "quickstart": "recipe.yaml",
          "runs/NAME": "runs/tiny", "runs/BEFORE": "runs/tiny",
          "RUN": "runs/tiny", "runs/quickstart": "runs/tiny", "HASH": "0" * 64}  # fmt: skip


def commands(program: str) -> list[str]:
    """The commands of the pages' code blocks and of their inline code, without comments, in order."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
            found += [line.split("#")[0].strip() for line in block.splitlines()]
        found += re.findall(rf"`({program} [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return list(dict.fromkeys(one for one in found if one.startswith(f"{program} ")))


@pytest.mark.parametrize("command", commands("make"))
def test_make_targets_exist(command: str) -> None:
    done = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def write_log(path: Path) -> None:
    """A chat log with answers to train on, and some that were cut off; its batch's input and output beside it."""
    words = [f"{one} {two}" for one in ("copper", "wooden", "broken", "tiny") for two in ("kettle", "ladder", "violin")]
    with path.open("w", encoding="utf-8") as log, path.with_name("batch_input.jsonl").open("w") as asked, \
            path.with_name("batch_output.jsonl").open("w") as answered:  # fmt: skip
        for at, word in enumerate(words):
            request = {"model": "big", "messages": [{"role": "user", "content": f"What is a {word} for?"}]}
            choice = {
                "message": {"content": f"A {word} is for use {at}."},
                "finish_reason": "length" if at % 2 else "stop",
            }
            row = {"metadata": {"feature": "glossary"}, "request": request, "response": {"choices": [choice]}}
            log.write(json.dumps(row) + "\n")
            asked.write(json.dumps({"custom_id": str(at), "url": "/v1/chat/completions", "body": request}) + "\n")
            response = {"status_code": 200, "body": {"choices": [choice]}}
            answered.write(json.dumps({"custom_id": str(at), "response": response}) + "\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    write_recipe(folder, make_tiny_model(tmp_path_factory.mktemp("teacher"), layers=4, scale=0.2))
    done = subprocess.run(
        [sys.executable, "-m", "potstill", "run", "recipe.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    write_log(folder / "log.jsonl")
    (folder / "logs").mkdir()
    shutil.copy(folder / "log.jsonl", folder / "logs")
    for name in ("guard.key", "group.key"):
        (folder / name).write_text(f"{name} for the docs' commands only\n")
    (folder / "found").mkdir()
    write_cases(folder / "found" / CASES, [sample()], ABOUT)
    _write_served(folder)
    _write_rules(folder)
    _sign(folder)
    return folder


def _write_rules(folder: Path) -> None:
    """The rules that docs/terms.md shows, as a file and in a folder."""
    text = (ROOT / "docs" / "terms.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(# our-rules\.yaml\n.*?)```", text, re.DOTALL)
    (folder / "rules-before").mkdir()
    for path in (folder / "our-rules.yaml", folder / "rules-before" / "ours.yaml"):
        path.write_text(shown, encoding="utf-8")


def _sign(folder: Path) -> None:
    """private.pem and public.pem, and runs/signed, a copy of the run that is signed with it."""
    key, pem = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    (folder / "private.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "public.pem").write_bytes(
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    shutil.copytree(folder / "runs" / "tiny", folder / "runs" / "signed")
    sign(folder / "runs" / "signed", PrivateKey(folder / "private.pem"))


def _write_served(folder: Path) -> None:
    """served.yaml, a recipe with an endpoint nobody asks, and output.jsonl, what a provider answers its batch."""
    teacher = {"endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "big"}, "license": "apache-2.0"}
    student = {"kind": "scratch", "config": {"model_type": "llama"}, "tokenizer": "path:none"}
    served = yaml.safe_load((folder / "recipe.yaml").read_text()) | {
        "name": "served", "teacher": teacher, "student": student, "collect": {"max_new_tokens": 10},
    }  # fmt: skip
    (folder / "served.yaml").write_text(yaml.safe_dump(served))
    words = ["-m", "potstill", "batch", "write", "served.yaml", "--out", "earlier"]
    subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)
    asked = (folder / "earlier" / "batch-0001.jsonl").read_text().splitlines()
    answers = [json.dumps(answered(json.loads(line))) for line in asked]
    (folder / "output.jsonl").write_text("\n".join(answers))


@pytest.mark.parametrize("command", commands("potstill"))
def test_potstill_commands_run(command: str, place: Path) -> None:
    words = [PLACES.get(word, word) for word in shlex.split(command)[1:]]
    if "--public-key" in words:
        words = ["runs/signed" if word == "runs/tiny" else word for word in words]
    if "export-stix" in words:  # the documents' log holds no campaign
        words = ["found" if word == "scan" else word for word in words]
    if words == ["init"]:
        words = ["init", "new.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "potstill", *words], cwd=place, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_gives_the_two_commands_and_every_verb() -> None:
    assert {"make quickstart", "make check"} <= set(commands("make"))
    verbs = {one.split()[1] for one in commands("potstill")}
    assert {"init", "plan", "run", "status", "compare", "verify", "lineage", "sign"} <= verbs
