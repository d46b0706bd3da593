"""Checkpoints from which a killed training goes on to the same weights, to the last bit on one machine."""

import json
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from potstill.train.loop import Paths


def save_checkpoint(
    paths: "Paths", run: str, parameters: Sequence[nn.Parameter], optimizer: Any, losses: Sequence[float],
    tokens: int, seconds: float,
) -> None:  # fmt: skip
    """Write the state after `len(losses)` steps beside the last checkpoint and swap it in with one rename."""
    paths.checkpoints.mkdir(parents=True, exist_ok=True)
    state = {
        "run": run, "losses": list(losses), "tokens": tokens, "seconds": seconds,
        "parameters": [one.detach() for one in parameters],
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }  # fmt: skip
    partial = paths.checkpoints / "latest.partial"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(paths.checkpoints / "latest.pt")


def load_checkpoint(
    paths: "Paths", run: str, parameters: Sequence[nn.Parameter], optimizer: Any
) -> tuple[list[float], int, float]:
    """Put the last checkpoint of this run in place; gives the losses so far, tokens and seconds (nothing: a new start).

    The metrics file is cut back to the checkpoint, so that a step is never logged twice.
    """
    state = _read(paths.checkpoints / "latest.pt")
    if state is None or state["run"] != run:
        _rewrite_metrics(paths.metrics, 0)
        return [], 0, 0.0
    with torch.no_grad():
        for one, value in zip(parameters, state["parameters"], strict=True):
            one.copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    if state["random_cuda"]:
        torch.cuda.set_rng_state_all(state["random_cuda"])
    _rewrite_metrics(paths.metrics, len(state["losses"]))
    return list(state["losses"]), int(state["tokens"]), float(state["seconds"])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        # Renamed into place only when whole, so this is damage from outside: training starts over, and that is safe.
        return None
    return state


def _rewrite_metrics(path: Path, steps: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= steps:
                    kept.append(line)
            except (ValueError, KeyError):
                continue  # the line that the kill cut short
    partial = path.with_suffix(".partial")
    partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    partial.replace(path)
