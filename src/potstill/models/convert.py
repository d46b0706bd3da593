"""Reads a GGUF file through transformers and keeps it as an ordinary safetensors model folder."""

import contextlib
import io
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging


def gguf_to_folder(gguf: Path, folder: Path) -> None:
    """Dequantise to fp32 and write config, weights and tokenizer into `folder`.

    The weights stay in fp32: what training starts from, and what a quantised file decodes to exactly.
    """
    logging.disable_progress_bar()
    # The reader draws a bar of its own on standard error, which nothing turns off; what goes wrong is raised.
    with contextlib.redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = loaded.config
    # transformers refuses to save a model that remembers having been quantised; the tensors no longer are.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        plain = type(loaded)(config)
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    plain.save_pretrained(folder)
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
