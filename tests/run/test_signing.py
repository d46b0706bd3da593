"""Signatures of a run by key: they fit, they stop fitting when something is changed, and anybody can check them."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import signing, verifying
from rooms import Rooms

from potstill import ledger
from potstill.cli import main
from potstill.config import Recipe
from potstill.errors import PotstillError
from potstill.run import run_recipe, verify
from potstill.run.signing import ExpectedIdentity, PrivateKey, PublicKey, SigstoreIdentity, sign, signature_problems
from potstill.run.verify import summary

Make = Callable[..., Recipe]


def make_key(folder: Path, name: str, password: str | None = None) -> tuple[PrivateKey, PublicKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    locked = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return PrivateKey(private, password), PublicKey(public)


@pytest.fixture
def folder(rooms: Rooms, recipe: Make, tmp_path: Path) -> Path:
    return run_recipe(recipe(), tmp_path / "run")


def test_a_signed_run_holds_and_others_can_check_the_model(folder: Path, tmp_path: Path) -> None:
    private, public = make_key(tmp_path, "own")
    head = ledger.read(folder / "ledger.jsonl")[-1]
    model, own = sorted(sign(folder, private), reverse=True)
    assert (model.name, own.name, own.parent.name) == ("safetensors.sig", "ledger.sig", f"{head.line:04d}")
    assert verify(folder) == []
    assert signature_problems(folder, public) == []
    assert f"signed at line {head.line}" in summary(folder)
    assert "no finished stage recorded" not in summary(folder)
    verifying.Config().use_elliptic_key_verifier(public_key=public.path).verify(folder / "export/safetensors", model)


def test_a_signature_outlives_a_run_that_finds_nothing_to_do(folder: Path, recipe: Make, tmp_path: Path) -> None:
    private, public = make_key(tmp_path, "own")
    sign(folder, private)
    run_recipe(recipe(), folder)
    assert (verify(folder), signature_problems(folder, public)) == ([], [])


def test_each_way_of_not_fitting_is_one_line(folder: Path, recipe: Make, tmp_path: Path) -> None:
    private, public = make_key(tmp_path, "own")
    (not_signed,) = signature_problems(folder, public)
    assert "is not signed; `potstill sign` does it" in not_signed
    sign(folder, private)
    _, other = make_key(tmp_path, "other")
    assert all("does not fit (Key mismatch" in one for one in signature_problems(folder, other))
    run_recipe(recipe(train={"epochs": 9}), folder)
    assert verify(folder) == []  # the run went on, and all of it is recorded; but it is not what was signed
    problems = signature_problems(folder, public)
    assert "the export was made anew since it was signed" in problems[0]
    assert "export/safetensors: its signature" in problems[1]
    assert "does not fit (Signature mismatch" in problems[1]
    assert all("\n" not in one for one in problems)
    sign(folder, private)
    assert signature_problems(folder, public) == []


def test_a_folder_that_was_rewritten_whole_is_found_by_its_signature(
    folder: Path, recipe: Make, tmp_path: Path
) -> None:
    """Whoever makes another run and puts the signatures of this one beside it has files and ledger that agree."""
    private, public = make_key(tmp_path, "own")
    sign(folder, private)
    signed = ledger.read(folder / "ledger.jsonl")[-1]
    forged = run_recipe(recipe(train={"epochs": 9}), tmp_path / "forged")
    shutil.copytree(folder / "signatures", forged / "signatures")
    ledger.append(forged / "ledger.jsonl", "signed", signed.facts)
    assert verify(forged) == []
    assert "was signed for another ledger" in signature_problems(forged, public)[0]


@pytest.mark.parametrize("name", ["ledger.sig", "safetensors.sig", "statement.json"])
def test_signatures_themselves_are_recorded(folder: Path, tmp_path: Path, name: str) -> None:
    private, public = make_key(tmp_path, "own")
    sign(folder, private)
    (path,) = folder.rglob(name)
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    assert [one.partition(":")[0] for one in verify(folder)] == [str(path)]
    assert len(signature_problems(folder, public)) == 1
    path.unlink()
    assert "missing since line" in verify(folder)[0]
    assert signature_problems(folder, public)


def test_what_is_not_as_recorded_is_not_signed(folder: Path, tmp_path: Path) -> None:
    (folder / "report.html").write_text("better")
    with pytest.raises(PotstillError, match=r"not signed, because it is not as recorded: .*report.html: changed"):
        sign(folder, make_key(tmp_path, "own")[0])
    assert not (folder / "signatures").exists()


def test_keys_that_cannot_be_used_say_so(folder: Path, tmp_path: Path) -> None:
    locked, public = make_key(tmp_path, "locked", "secret")
    with pytest.raises(PotstillError, match=r"locked.pem: cannot be used to sign"):
        sign(folder, PrivateKey(locked.path))
    with pytest.raises(PotstillError, match="no such key file"):
        sign(folder, PrivateKey(tmp_path / "none.pem"))
    with pytest.raises(PotstillError, match="cannot be used to check signatures"):
        signature_problems(folder, PublicKey(folder / "recipe.yaml"))
    sign(folder, locked)
    assert signature_problems(folder, public) == []


def test_without_the_extra_one_line_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = make_key(tmp_path, "own")
    monkeypatch.setitem(sys.modules, "model_signing", None)
    for action in (lambda: sign(folder, private), lambda: signature_problems(folder, public)):
        with pytest.raises(PotstillError, match=r"pip install 'potstill\[sign\]'"):
            action()


def test_the_sigstore_form_goes_through_the_library(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sigstore itself cannot be asked offline: a key stands in for it behind the library's own two calls."""
    private, public = make_key(tmp_path, "own")
    asked: list[dict[str, Any]] = []

    def as_signer(config: Any, **given: Any) -> Any:
        asked.append(given)
        return config.use_elliptic_key_signer(private_key=private.path)

    def as_verifier(config: Any, **given: Any) -> Any:
        asked.append(given)
        return config.use_elliptic_key_verifier(public_key=public.path)

    monkeypatch.setattr(signing.Config, "use_sigstore_signer", as_signer)
    monkeypatch.setattr(verifying.Config, "use_sigstore_verifier", as_verifier)
    sign(folder, SigstoreIdentity(ambient=True))
    assert signature_problems(folder, ExpectedIdentity("me@example.org", "https://accounts.example.org")) == []
    assert asked[0] == {"use_ambient_credentials": True, "use_staging": False}
    wanted = {"identity": "me@example.org", "oidc_issuer": "https://accounts.example.org", "use_staging": False}
    assert asked[1] == wanted
    assert ledger.read(folder / "ledger.jsonl")[-1].facts["by"] == {"method": "sigstore", "staging": False}


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def test_the_verbs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = make_key(tmp_path, "own", "secret")
    monkeypatch.setenv("KEY_PASSWORD", "secret")
    run, key = str(folder), str(private.path)
    assert call("sign", run, "--private-key", key, "--password-env", "KEY_PASSWORD") == 0
    assert capsys.readouterr().out.count("signed: ") == 2
    assert call("verify", run, "--public-key", str(public.path)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"{folder}: the signatures fit"
    assert said[2].startswith("terms: the teacher's terms would still clear this run today: rule apache-2.0")
    assert call("verify", run, "--public-key", str(make_key(tmp_path, "other")[1].path)) == 1
    assert call("sign", run) == 2
    assert call("sign", run, "--private-key", key, "--sigstore") == 2
    assert call("sign", run, "--private-key", key, "--password-env", "NO_SUCH_NAME") == 2
    assert call("verify", run, "--identity", "me@example.org") == 2
