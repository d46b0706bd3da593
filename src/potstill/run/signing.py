"""Signs a run and checks signatures, by the library that signs models elsewhere: what is handed on, and the ledger."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from potstill import ledger
from potstill.errors import PotstillError
from potstill.ledger import file_hash
from potstill.run.folder import locked, read_recipe, require_run
from potstill.run.following import weight_files
from potstill.run.markers import Marker, read_marker, write_durably
from potstill.run.record import note
from potstill.run.verify import last_signing, verify

SIGNATURES = "signatures"  # in the run folder, with a folder for each signing
_STATEMENT = "statement.json"
_LONGEST_WORDS = 160


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """Signs with an elliptic-curve key in a PEM file."""

    path: Path
    password: str | None = None


@dataclass(frozen=True, slots=True)
class SigstoreIdentity:
    """Signs through Sigstore as whoever the browser says, or with `ambient` as the workload that this runs in."""

    ambient: bool = False
    staging: bool = False


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Checks against an elliptic-curve key in a PEM file."""

    path: Path


@dataclass(frozen=True, slots=True)
class ExpectedIdentity:
    """Checks that this identity signed, as this provider vouched for it to Sigstore."""

    identity: str
    provider: str
    staging: bool = False


def sign(folder: Path, by: PrivateKey | SigstoreIdentity) -> list[Path]:
    """Sign each exported model folder, and a statement of where the ledger stands; gives the signature files.

    The ledger records the signatures. Raises PotstillError where the run is not as recorded, the key cannot be used or
    the extra `sign` is not installed.
    """
    require_run(folder)
    signer = _signer(by)
    with locked(folder):
        if problems := verify(folder):
            raise PotstillError(f"{folder}: not signed, because it is not as recorded: {problems[0]}")
        entries = ledger.read(folder / "ledger.jsonl")
        export = read_marker(folder, "export")
        home = folder / SIGNATURES / f"{len(entries):04d}"
        statement = {
            "run": read_recipe(folder).name, "ledger": {"line": len(entries), "sha256": entries[-1].hash},
            "export": dict(export.outputs) if export else {},
        }  # fmt: skip
        write_durably(home / _STATEMENT, json.dumps(statement, indent=1, ensure_ascii=False) + "\n")
        targets = {home / "ledger.sig": home / _STATEMENT}
        for weights in weight_files(export.outputs) if export else ():
            model = (folder / weights).parent
            targets[home / f"{model.name}.sig"] = model
        for signature, target in targets.items():
            _call(partial(signer, target, signature), f"{target}: cannot be signed")
        files = sorted([home / _STATEMENT, *targets])
        recorded = {path.relative_to(folder).as_posix(): file_hash(path) for path in files}
        note(folder, "signed", {"by": _told(by), "line": len(entries), "files": recorded})
    return sorted(targets)


def signature_problems(folder: Path, by: PublicKey | ExpectedIdentity) -> list[str]:
    """What of the run's newest signatures does not hold, a line each; empty where all fit what stands there now.

    Raises PotstillError where the key cannot be read or the extra `sign` is not installed.
    """
    verifier = _verifier(by)
    entries = ledger.read(folder / "ledger.jsonl")
    last = last_signing(entries)
    if last is None:
        return [f"{folder}: is not signed; `potstill sign` does it"]
    home = folder / SIGNATURES / f"{last.facts['line']:04d}"
    export = read_marker(folder, "export")
    problems = _fits(verifier, home / _STATEMENT, home / "ledger.sig")
    if not problems:
        problems += _statement_problems(home / _STATEMENT, entries, export)
    for weights in weight_files(export.outputs) if export else ():
        model = (folder / weights).parent
        problems += _fits(verifier, model, home / f"{model.name}.sig")
    return problems


def _statement_problems(path: Path, entries: Sequence[ledger.Entry], export: Marker | None) -> Iterator[str]:
    """The line of the ledger that was signed has to be there as it was, and the export that was recorded then."""
    signed = json.loads(path.read_text(encoding="utf-8"))
    line, sha256 = signed["ledger"]["line"], signed["ledger"]["sha256"]
    if line > len(entries) or entries[line - 1].hash != sha256:
        yield f"{path}: was signed for another ledger: its line {line} is not the one that was signed"
    if signed["export"] != (dict(export.outputs) if export else {}):
        yield f"{path}: the export was made anew since it was signed; `potstill sign` signs it"


def _fits(verifier: Callable[[Path, Path], None], target: Path, signature: Path) -> list[str]:
    if not signature.is_file():
        return [f"{signature}: missing, so {target} cannot be checked"]
    try:
        _call(partial(verifier, target, signature), f"{target}: its signature {signature} does not fit")
    except PotstillError as error:
        return [str(error)]
    return []


def _told(by: PrivateKey | SigstoreIdentity) -> dict[str, Any]:
    """How it was signed, for the ledger; who with a key is in the signature, as the hash of the public one."""
    return {"method": "key"} if isinstance(by, PrivateKey) else {"method": "sigstore", "staging": by.staging}


def _signer(by: PrivateKey | SigstoreIdentity) -> Callable[[Path, Path], None]:
    signing, _ = _library()
    config = signing.Config()
    if isinstance(by, PrivateKey):
        key = _readable(by.path)
        # The library (1.1.1) hands the password on as it gets it, to a function that wants bytes.
        password: Any = by.password.encode() if by.password is not None else None
        use = partial(config.use_elliptic_key_signer, private_key=key, password=password)
    else:
        use = partial(config.use_sigstore_signer, use_ambient_credentials=by.ambient, use_staging=by.staging)
    who = by.path if isinstance(by, PrivateKey) else "Sigstore"
    chosen = _call(use, f"{who}: cannot be used to sign")
    return lambda target, signature: chosen.sign(target, signature)


def _verifier(by: PublicKey | ExpectedIdentity) -> Callable[[Path, Path], None]:
    _, verifying = _library()

    def chosen() -> Any:
        config = verifying.Config()  # a new one each time: it takes how to hash from the signature
        if isinstance(by, PublicKey):
            return config.use_elliptic_key_verifier(public_key=_readable(by.path))
        return config.use_sigstore_verifier(identity=by.identity, oidc_issuer=by.provider, use_staging=by.staging)

    who = by.path if isinstance(by, PublicKey) else "Sigstore"
    _call(chosen, f"{who}: cannot be used to check signatures")
    return lambda target, signature: chosen().verify(target, signature)


def _library() -> tuple[Any, Any]:
    try:
        from model_signing import signing, verifying
    except ModuleNotFoundError as error:
        raise PotstillError(
            f"signatures need the Python package {error.name}; install it with: pip install 'potstill[sign]'"
        ) from None
    return signing, verifying


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise PotstillError(f"{path}: no such key file")
    return path


def _call(action: Callable[[], Any], what: str) -> Any:
    """The library raises errors of several packages; whichever it is, the first line says what."""
    try:
        return action()
    except Exception as error:
        words = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise PotstillError(f"{what} ({words[:_LONGEST_WORDS]})") from None
