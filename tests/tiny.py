"""A random Llama with a tokenizer trained on the spot, for tests that need a model but not its sense."""

from pathlib import Path

TEMPLATE = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}<s>"

# The ids of its tokens that are bytes of longer characters.
HALF_CHARACTERS = range(96, 258)


def make_tiny_model(folder: Path, layers: int = 2, scale: float = 0.02, width: int = 32) -> Path:
    """Write a model folder; a larger `scale` of the weights makes the distributions less flat."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator(["what is a kettle", "a kettle is a vessel for boiling water"] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=64,
        num_hidden_layers=layers, num_attention_heads=2,
        max_position_embeddings=256, bos_token_id=0, eos_token_id=1,
        initializer_range=scale,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)
    return folder
