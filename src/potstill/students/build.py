"""Makes the untrained student that a recipe asks for."""

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

from potstill.config import Lora, ModelStudent, PrunedStudent, ScratchStudent
from potstill.errors import RecipeError
from potstill.models.fetch import fetch
from potstill.models.local import LocalModel
from potstill.progress import Reporter
from potstill.records import ModelIdentity
from potstill.rendering import Example
from potstill.students.layers import decoder_layers, keep_layers
from potstill.students.prune import calibration_set, choose_layers

Facts = Mapping[str, Any]


def build_student(
    student: PrunedStudent | ModelStudent | ScratchStudent,
    teacher: Callable[[], LocalModel],
    examples: Callable[[], Sequence[Example]],
    seed: int,
    reporter: Reporter,
) -> tuple[LocalModel, Facts]:
    """The untrained student and facts about how it was made. Teacher and examples are asked for only where needed."""
    match student:
        case PrunedStudent():
            return _pruned(student, teacher(), examples(), reporter)
        case ModelStudent(model=reference, sha256=sha256):
            return LocalModel.load(fetch(reference, sha256, reporter), reference), {"made_from": reference}
        case ScratchStudent():
            return _scratch(student, teacher, seed, reporter)


def _pruned(
    student: PrunedStudent, teacher: LocalModel, examples: Sequence[Example], reporter: Reporter
) -> tuple[LocalModel, Facts]:
    layers = len(decoder_layers(teacher.network))
    if student.keep_layers > layers:
        raise RecipeError(f"student.keep_layers: {student.keep_layers}, but the teacher has {layers} layers")
    chosen = calibration_set(examples, student.calibration_tokens)
    kept, history = choose_layers(teacher.network, chosen, student.keep_layers, reporter=reporter)
    network = copy.deepcopy(teacher.network)
    keep_layers(network, kept)
    facts = {"made_from": teacher.identity.reference, "kept_layers": kept, "kl_nats_after_removals": history}
    return LocalModel(network, teacher.tokenizer, _new_identity(f"pruned:{student.keep_layers}")), facts


def _scratch(
    student: ScratchStudent, teacher: Callable[[], LocalModel], seed: int, reporter: Reporter
) -> tuple[LocalModel, Facts]:
    tokenizer = (
        LocalModel.load(fetch(student.tokenizer, None, reporter)).tokenizer
        if student.tokenizer
        else teacher().tokenizer
    )
    settings = dict(student.config)
    kind = settings.pop("model_type", None)
    if not isinstance(kind, str):
        raise RecipeError("student.config: model_type is missing; for example {model_type: llama, hidden_size: 256, …}")
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    try:
        config = AutoConfig.for_model(kind, **{"vocab_size": len(tokenizer), **special, **settings})
        torch.manual_seed(seed)
        network = AutoModelForCausalLM.from_config(config).float().eval()
    except (ValueError, TypeError, KeyError) as error:
        raise RecipeError(f"student.config: transformers cannot make this model ({error})") from None
    return LocalModel(network, tokenizer, _new_identity(f"scratch:{kind}")), {"made_from": f"config {kind}"}


def add_lora(network: Any, lora: Lora) -> Any:
    """The network with trainable adapters and everything else frozen."""
    from peft import LoraConfig, get_peft_model

    targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type="CAUSAL_LM"
    )
    try:
        with warnings.catch_warnings():
            # peft asks transformers for a property under its old name; nobody who trains can change that.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            return get_peft_model(network, config)
    except ValueError as error:
        raise RecipeError(f"student.lora.target_modules: {error}") from None


def save_student(student: LocalModel, folder: Path) -> None:
    """Write an ordinary model folder."""
    logging.disable_progress_bar()
    student.network.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)


def _new_identity(reference: str) -> ModelIdentity:
    return ModelIdentity(reference, "local", "untrained")
