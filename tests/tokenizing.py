"""Tokenizers trained on the spot: byte-level ones of any size, and one that writes spaces as "▁" with byte fallback."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tiny import TEMPLATE

VARIED = (
    "what is a kettle", "a kettle is a vessel for boiling water", "The kettle whistles; the barometer falls.",
    "def area(width, height):\n    return width * height  # 3.14159\n", "1234567890 20 300 4000 50000",
    "naïve café, Ångström, übergroß", "東京は日本の首都です。漢字とかな。", "emoji 😀👩‍👩‍👧‍👦 and flags 🇨🇭",
    "   spaces\t\ttabs\r\n\nlines",
)  # fmt: skip


def byte_level(size: int, texts: Sequence[str] = VARIED, *, prefix_space: bool = False) -> Any:
    """A byte-level BPE as GPT-2's; at size 258 every token is a byte or special."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    trained.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator(list(texts) * 4, trainer)
    return _fast(trained, bos_token="<s>", eos_token="</s>")


def byte_fallback(size: int = 400, texts: Sequence[str] = VARIED[:4]) -> Any:
    """A BPE as Llama's: a space is written "▁", one more stands before the text, unknown characters fall to bytes."""
    shaping = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained = Tokenizer(models.BPE())
    trained.normalizer = shaping
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trained.train_from_iterator(list(texts) * 4, trainers.BpeTrainer(vocab_size=size, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    names = ["<unk>", "<bos>", "<eos>", *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    merges = [tuple(pair) for pair in model["merges"]]
    vocabulary = {name: token for token, name in enumerate(names)}
    whole = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>"))
    whole.normalizer = shaping
    whole.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return _fast(whole, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")


def _fast(trained: Tokenizer, **special: str) -> Any:
    made = PreTrainedTokenizerFast(tokenizer_object=trained, **special)
    made.chat_template = TEMPLATE.replace("<s>", special["bos_token"]).replace("</s>", special["eos_token"])
    return made


def model_folder(folder: Path, tokenizer: Any, layers: int = 1, scale: float = 0.2, seed: int = 0) -> Path:
    """A random Llama for a tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=layers,
        num_attention_heads=2, max_position_embeddings=512, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, initializer_range=scale,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def render(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text, none added."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
