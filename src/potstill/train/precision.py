"""In which precision training computes."""

import torch

from potstill.config import Train


def mixed_precision(train: Train) -> str:
    """ "bf16" or "no"; auto takes bf16 where the hardware computes in it rather than emulates it."""
    if train.precision != "auto":
        return "bf16" if train.precision == "bf16" else "no"
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    native = torch.cpu.get_capabilities()
    return "bf16" if native.get("avx512_bf16") or native.get("amx_bf16") or native.get("bf16") else "no"


def autocast(train: Train, device: torch.device) -> torch.autocast:
    """The context in which a training computes: autocast to bf16, or nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision(train) == "bf16")
