"""What each figure is called and tells a reader who knows no statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

BASELINES: Final = {"initial_student": "initial student", "fine_tuning": "plain fine-tuning"}
# Of tasks with labels. They are no language models, so only the task's figures have them.
CLOSED_SET: Final = {"majority": "the most frequent label", "tfidf": "TF-IDF with logistic regression"}
ROLES: Final = {**BASELINES, **CLOSED_SET, "teacher_again": "teacher asked again"}


@dataclass(frozen=True, slots=True)
class Wording:
    """How a figure is called, what it tells a reader who knows no statistics, and how its numbers are written."""

    title: str
    meaning: str
    style: Literal["share", "nats", "ratio", "score", "distance"]


def _rate(title: str, meaning: str) -> Wording:
    return Wording(title, meaning, "share")


WORDING: Final[Mapping[str, Wording]] = {
    "top1_agreement": Wording(
        "top-1 agreement",
        "How often the student's most likely next token is the teacher's, over every token of the teacher's answers. "
        "Higher is better; 100 % is a student that never differs.",
        "share",
    ),
    "kl_nats": Wording(
        "KL divergence",
        "How far the student's probabilities are from the teacher's, for each token. Lower is better; 0 is identical.",
        "nats",
    ),
    "total_variation": Wording(
        "total variation",
        "The share of probability that the student puts on other tokens than the teacher does. Lower is better; one "
        "minus this is the acceptance rate to expect of the student as the teacher's draft model.",
        "share",
    ),
    "perplexity_ratio": Wording(
        "perplexity ratio",
        "How much more surprised the student is by the teacher's answers than the teacher itself. Lower is better; "
        "1 is no more surprised.",
        "ratio",
    ),
    "calibration_error": Wording(
        "calibration error",
        "How far the student's certainty is from how often the teacher wrote what the student held most likely. Lower "
        "is better; 0 is a student whose 70 % is right 70 times in 100.",
        "share",
    ),
    "unmatched_l1": Wording(
        "unmatched vocabulary",
        "How unlike the two models spread probability over the tokens that only one of them has, whatever those tokens "
        "are. Lower is better; from 0 to 2.",
        "distance",
    ),
    "chrf": Wording(
        "chrF",
        "Overlap of letters and words between the student's own answers and the teacher's, from 0 to 100. Higher is "
        "better; answers that say the same in other words score low.",
        "score",
    ),
    "parameter_ratio": Wording("number of parameters", "The student's parameters relative to the teacher's.", "ratio"),
    "size_ratio": Wording("size on disk", "The student's weight files relative to the teacher's.", "ratio"),
    "decode_speedup": Wording(
        "decode speed-up",
        "How many times faster than the teacher the student writes an answer, token after token, on this machine.",
        "ratio",
    ),
    "prefill_speedup": Wording(
        "prefill speed-up", "How many times faster than the teacher the student reads a prompt.", "ratio"
    ),
    "time_to_first_token_ratio": Wording(
        "time to first token",
        "How long it takes from a prompt's text to the first token of the answer, relative to the teacher. Lower is "
        "better.",
        "ratio",
    ),
    "batch_decode_speedup": Wording(
        "decode speed-up in a batch",
        "How many times faster than the teacher the student writes the answers to several prompts at once.",
        "ratio",
    ),
    "batch_prefill_speedup": Wording(
        "prefill speed-up in a batch",
        "How many times faster than the teacher the student reads several prompts at once.",
        "ratio",
    ),
    "price_ratio": Wording(
        "price of an answer",
        "What reading an average held-out prompt and answering it costs, relative to the teacher, on a machine that is "
        "always busy. Lower is better.",
        "ratio",
    ),
    "peak_memory_ratio": Wording(
        "peak memory", "The student's largest use of memory while answering, relative to the teacher's.", "ratio"
    ),
}

# What the same figures mean where teacher and student cut a text into different tokens (docs/evaluation.md).
ACROSS_TOKENIZERS: Final[Mapping[str, str]] = {
    "top1_agreement": "How often the two models find the same next piece of text most likely, over every group of "
    "tokens that write the same bytes in both. Higher is better. Not comparable with students of the same tokenizer.",
    "kl_nats": "How far the student's probabilities are from the teacher's at each group, over what both vocabularies "
    "can tell apart: the least that the divergence between texts can be. Lower is better; 0 is identical.",
    "total_variation": "The share of probability that the student puts on other text than the teacher does at each "
    "group, as far as both vocabularies can tell. Lower is better.",
    "perplexity_ratio": "How much more surprised the student is by each byte of the teacher's answers than the teacher "
    "itself. Lower is better; 1 is no more surprised. A ratio by the byte is nearer to 1 than one by the token.",
    "decode_speedup": "How many times as many bytes of text the student writes in a second as the teacher, on this "
    "machine.",
    "prefill_speedup": "How many times faster than the teacher the student reads the same prompts.",
    "batch_decode_speedup": "How many times as many bytes of text the student writes in a second as the teacher, "
    "answering several prompts at once.",
    "batch_prefill_speedup": "How many times faster than the teacher the student reads the same prompts, several at "
    "once.",
}

# Figures called `probe.<name>`: what the student loses of the teacher's manners, and what it adds (docs/evaluation.md).
PROBES: Final[Mapping[str, Wording]] = {
    "invented_fields": _rate(
        "invented fields", "Of JSON fields that the teacher leaves empty, those the student fills."
    ),
    "dropped_fields": _rate("dropped fields", "Of JSON fields that the teacher fills, those the student leaves empty."),
    "lost_abstention": _rate(
        "lost abstention",
        "Of answers in which the teacher refuses or says that it does not know, those in which the student answers.",
    ),
    "new_refusals": _rate(
        "new refusals", "Of the teacher's other answers, those where the student refuses or says that it does not know."
    ),
    "lost_clarifying": _rate(
        "lost clarifying questions", "Of answers in which the teacher asks back, those in which the student does not."
    ),
    "new_clarifying": _rate(
        "new clarifying questions", "Of the teacher's other answers, those in which the student asks back."
    ),
    "lost_format": _rate(
        "lost forms",
        "Of answers in JSON, code, a table, a list, a number or a label, those that the student writes in another.",
    ),
    "new_format": _rate("new forms", "Of the teacher's answers in prose, those that the student writes in a set form."),
    "lost_rare_format": _rate(
        "lost rare forms", "Of answers in a form that training hardly saw, those that the student writes in another."
    ),
    "own_abstain": _rate("no abstaining", "Own probes in which the student had to abstain and did not."),
    "own_refuse": _rate("no refusing", "Own probes in which the student had to refuse and did not."),
    "own_clarify": _rate("no asking back", "Own probes in which the student had to ask back and did not."),
    "own_empty_fields": _rate(
        "fields filled that must be empty", "Own probes in which the student filled such a field, or wrote no JSON."
    ),
    "own_format": _rate("another form than asked for", "Own probes that the student answered in another form."),
    "made_empty_fields": _rate(
        "invented fields in made probes",
        "Held-out prompts without the sentence that a field was taken from: of those in which the teacher leaves it "
        "empty, those in which the student does not.",
    ),
}

# Agreement with what the teacher says when it is asked again; the teacher's own is the most that can be expected.
AGREEMENT: Final[Mapping[str, Wording]] = {
    "chrf_again": Wording(
        "chrF with the teacher asked again",
        "Overlap of letters and words with another answer of the teacher to the same prompt, from 0 to 100.",
        "score",
    ),
    "same_again": Wording(
        "the very answer of the teacher asked again",
        "How often the answer is, to the character, what the teacher says when it is asked again.",
        "share",
    ),
}

# Figures of answers against references (the recipe's evaluate.task); not there without it.
TASK: Final[Mapping[str, Wording]] = {
    "exact_match": Wording("exact match", "How often the answer is the reference, to the character.", "share"),
    "normalised_match": Wording(
        "normalised match",
        "How often the answer is the reference but for case, punctuation, English articles and white space.",
        "share",
    ),
    "token_f1": Wording(
        "token F1", "Words that answer and reference share, as F1; articles and punctuation don't count.", "share"
    ),
    "rouge_l": Wording(
        "ROUGE-L", "Words that answer and reference have in the same order, whatever stands between, as F1.", "share"
    ),
    "bleu": Wording("BLEU", "Runs of up to four words that the answer has from the reference, from 0 to 100.", "score"),
    "reference_chrf": Wording(
        "chrF against references", "Overlap of letters and words of answer and reference, from 0 to 100.", "score"
    ),
    "numeric_match": Wording(
        "numeric match", "How often the last number of the answer is that of the reference.", "share"
    ),
    "json_valid": Wording("valid JSON", "How often the answer is JSON, and of the schema where one is given.", "share"),
    "json_field_f1": Wording(
        "JSON field F1", "Fields that the answer has as the reference has them, with path and value, as F1.", "share"
    ),
    "accuracy": Wording("accuracy", "How often the label chosen is the right one.", "share"),
    "macro_f1": Wording(
        "macro-F1", "F1 of each label, averaged over labels: rare labels weigh as much as frequent ones.", "share"
    ),
}

# Figures of judges (the recipe's evaluate.judge); not there without it.
JUDGE: Final[Mapping[str, Wording]] = {
    "judge.win_rate": Wording(
        "judged win rate",
        "How often judges prefer the student's answer to the teacher's, ties half. 50 % is as good as the teacher.",
        "share",
    ),
    "judge.length_controlled_win_rate": Wording(
        "length-controlled win rate",
        "The win rate had both answers the same length: what is left when length is not rewarded.",
        "share",
    ),
    "judge.corrected_win_rate": Wording(
        "win rate corrected by people",
        "The win rate that people would give, as far as their own labels tell how the judges err.",
        "share",
    ),
    "judge.rubric_score": Wording(
        "judged score", "What judges give an answer by the recipe's rubric. Higher is better.", "distance"
    ),
    "judge.position_consistency": Wording(
        "steadiness of the judges",
        "How often a judge gives the same verdict when the two answers change places. Low says that it goes by place.",
        "share",
    ),
    "judge.unusable": Wording(
        "replies without a verdict", "The share of the judges' replies that say nothing that can be read.", "share"
    ),
    "judge.kappa": Wording(
        "agreement of the two judges", "Cohen's kappa: 1 is full agreement, 0 what chance would give.", "distance"
    ),
    "judge.alpha": Wording(
        "agreement of the judges", "Krippendorff's alpha: 1 is full agreement, 0 what chance would give.", "distance"
    ),
    "judge.human_kappa": Wording(
        "agreement of judges and people", "Cohen's kappa: 1 is full agreement, 0 what chance would give.", "distance"
    ),
}
