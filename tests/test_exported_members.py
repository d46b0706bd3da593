"""The public names of each room: adding or removing one is a decision, so it shows here."""

import importlib

import pytest

PUBLIC = {
    "potstill.alignment": [
        "Agreement", "AlignmentError", "Group", "Lists", "Spans", "Spelling", "VocabularyMatch", "Wording", "align",
        "lists_of", "match_vocabularies",
    ],
    "potstill.doctor": ["Diagnosis", "Examination", "examine", "export", "lines"],
    "potstill.evaluate": ["evaluate"],
    "potstill.exchanges": [
        "Exchange", "FORMS", "Unreadable", "find_form", "form_named", "form_of_row", "known_form", "log_files",
        "opened", "read_exchanges", "rows",
    ],
    "potstill.collect": ["collect"],
    "potstill.collect.screening": ["screen"],
    "potstill.export": ["check_before", "export"],
    "potstill.guard": [
        "Case", "EventStore", "FIELDS", "Gap", "How", "IDENTIFIERS", "Ingested", "Intake", "KINDS", "Pseudonyms",
        "SCHEMA", "Scanned", "Shown", "TEXTS", "ingest", "missing_evidence", "open_events", "read_cases", "read_key",
        "scan",
    ],
    "potstill.guard.report": ["Drawn", "drawn_of", "write_report"],
    "potstill.guard.sharing": ["Terms", "bundle_of", "export_stix"],
    "potstill.guard.simulate": ["Campaign", "Options", "Simulated", "parse_campaign", "simulate"],
    "potstill.objectives": ["KINDS", "chunked_sum", "per_position"],
    "potstill.run": [
        "Comparison", "Pilot", "Plan", "Side", "compare", "default_folder", "export_run", "find_recipe", "plan", "run",
        "run_pilot", "run_recipe", "status", "verify",
    ],
    "potstill.stats": [
        "Controlled", "Interval", "PowerLaw", "Verdict", "benjamini_hochberg", "clearly_falls", "clopper_pearson",
        "cluster_mean", "cohen_kappa", "corrected_share", "differs_from_rest", "exponential", "extrapolated",
        "fieller", "fit_power_law", "holm", "krippendorff_alpha", "mcnemar", "median_ratio", "needed_alike", "needed_n",
        "prediction_powered", "ratio_of_sums", "share_at_zero", "sign_flip", "simultaneous", "smallest_p",
        "statistic_of_sums", "statistic_of_weights", "student_t", "wilson", "within_margin",
    ],
    "potstill.students": ["build_student"],
    "potstill.terms": [
        "Decision", "Rule", "clear", "clear_judge", "clear_judges", "decide", "decide_each", "decide_judge",
        "decide_judges", "kinship", "own_rules", "rules",
    ],
    "potstill.train": ["train"],
}  # fmt: skip


@pytest.mark.parametrize("room", PUBLIC)
def test_the_public_names_are_these(room: str) -> None:
    module = importlib.import_module(room)
    assert sorted(module.__all__) == PUBLIC[room]
    for name in module.__all__:
        assert getattr(module, name).__doc__, f"{room}.{name} has no docstring"
