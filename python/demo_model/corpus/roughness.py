"""Makes a clean question look typed by a person: other words, fewer words, case, typing errors.

What is changed never decides the answer; so the model learns to look at all of a question.
"""

import random
import re
from pathlib import Path

OPENINGS = [
    "Hi, ", "Hello, ", "Hey, ", "Hi! ", "Hello! ", "Please tell me: ", "Question: ",
    "Quick question: ", "One more thing: ", "Sorry, ", "Excuse me, ", "So, ", "And ", "Well, ",
    "By the way, ", "I have a question: ", "Please, ", "Just to be sure: ", "Also, ", "OK, ",
    "Good morning, ", "I am new here. ", "My colleague asks: ", "I was wondering, ", "Ok so ",
    "I could not find it in the docs: ", "Can you help? ", "I'd like to know: ", "Let me ask: ",
    "I am building a chatbot. ", "We are evaluating tokenmill. ", "For my project: ", "But ",
]  # fmt: skip
ENDINGS = [
    " please", ", please?", " please.", " Thanks!", " Thank you.", " thx", " then?", " here?",
    " now?", " for me?", " I need to know.", " exactly?", " with tokenmill?", " again?",
    " in that case?", " in general?", ", do you know?", ", any idea?", " in the end?",
]  # fmt: skip
FILLERS = [
    "actually", "really", "just", "please", "maybe", "exactly", "currently", "simply", "also",
    "usually", "even", "still", "then", "perhaps", "by any chance", "quickly", "easily",
]  # fmt: skip
CONTRACTIONS = [
    ("is", "'s"), ("am", "'m"), ("are", "'re"), ("would", "'d"), ("have", "'ve"), ("will", "'ll")
]  # fmt: skip
NEGATIONS = {"do not": "don't", "does not": "doesn't", "cannot": "can't", "is not": "isn't"}
STOP_WORDS = frozenset(
    ["a", "an", "the", "i", "do", "does", "is", "are", "of", "for", "to", "me", "my", "please",
     "what", "how", "can", "it", "in", "on", "with", "you", "your", "be", "am", "there", "this"]
)  # fmt: skip
WORD = re.compile(r"[A-Za-z]{4,}")


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """For each word or phrase, in lower case, what may stand for it."""
    others: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        group = [] if line.startswith("#") else line.split("; ")
        for phrase in group:
            known = others.setdefault(phrase.lower(), [])
            known.extend(other for other in group if other != phrase)
    return others


SYNONYMS = read_synonyms(Path(__file__).parent / "synonyms.txt")
SYNONYM = re.compile(
    r"\b(" + "|".join(re.escape(p) for p in sorted(SYNONYMS, key=len, reverse=True)) + r")\b",
    re.IGNORECASE,
)


def roughen(text: str, rng: random.Random) -> str:
    """The text, sometimes changed a little; half of them stay as they are."""
    while rng.random() < 0.18:
        text = exchange_word(text, rng)
    if rng.random() < 0.10:
        text = contract(text, rng)
    if rng.random() < 0.05:
        text = drop_word(text, rng)
    elif rng.random() < 0.03:
        text = keep_key_words(text)
    if rng.random() < 0.04:
        text = insert_filler(text, rng)
    if rng.random() < 0.12:
        text = rng.choice(OPENINGS) + text[:1].lower() + text[1:]
    if rng.random() < 0.06:
        text = text.rstrip("?.! ") + rng.choice(ENDINGS)
    if rng.random() < 0.2:
        text = text.lower()
    if rng.random() < 0.16:
        text = text.rstrip("?.! ")
    if rng.random() < 0.08:
        text = mistype(text, rng)
    return text


def exchange_word(text: str, rng: random.Random) -> str:
    """The text with one word or phrase replaced by a synonym."""
    found = list(SYNONYM.finditer(text))
    if not found:
        return text
    match = rng.choice(found)
    other = rng.choice(SYNONYMS[match.group().lower()])
    if match.start() == 0:
        other = other[:1].upper() + other[1:]
    return text[: match.start()] + other + text[match.end() :]


def contract(text: str, rng: random.Random) -> str:
    """The text with "I am" as "I'm", "do not" as "don't" and the like, once."""
    for full, short in NEGATIONS.items():
        if full in text:
            return text.replace(full, short, 1)
    full, short = rng.choice(CONTRACTIONS)
    return re.sub(rf"\b(I|you|it|we|that|[Ww]hat|[Ww]here|[Hh]ow) {full}\b", rf"\1{short}", text)


def drop_word(text: str, rng: random.Random) -> str:
    """The text without one of its words, if it has at least five."""
    words = text.split(" ")
    if len(words) >= 5:
        del words[rng.randrange(len(words))]
    return " ".join(words)


def keep_key_words(text: str) -> str:
    """What one would type into a search box."""
    kept = [word for word in text.split(" ") if word.lower().strip("?.!,") not in STOP_WORDS]
    return " ".join(kept).rstrip("?.! ") if len(kept) >= 2 else text


def insert_filler(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    words.insert(rng.randint(1, len(words)), rng.choice(FILLERS))
    return " ".join(words)


def mistype(text: str, rng: random.Random) -> str:
    """The text with one word's letters dropped, swapped or doubled."""
    words = list(WORD.finditer(text))
    if not words:
        return text
    at = rng.choice(words).start() + rng.randint(1, 2)
    return rng.choice(
        [
            text[:at] + text[at + 1 :],
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            text[:at] + text[at] + text[at:],
        ]
    )
