"""Makes a clean question look typed by a person: case, contractions, typing errors, small talk."""

import random
import re

OPENINGS = [
    "Hi, ", "Hello, ", "Hey, ", "Hi! ", "Hello! ", "Please tell me: ", "Question: ",
    "Quick question: ", "One more thing: ", "Sorry, ", "Excuse me, ", "So, ", "And ", "Well, ",
    "By the way, ", "I have a question: ", "Please, ", "Just to be sure: ", "Also, ", "OK, ",
    "Good morning, ", "I am new here. ", "My colleague asks: ", "I was wondering, ", "Ok so ",
    "I could not find it in the docs: ", "Can you help? ", "I'd like to know: ", "Let me ask: ",
]  # fmt: skip
ENDINGS = [
    " please", ", please?", " please.", " Thanks!", " Thank you.", " thx", " then?", " here?",
    " now?", " for me?", " I need to know.", " exactly?", " with tokenmill?", " again?",
]  # fmt: skip
CONTRACTIONS = [
    ("What is", "What's"), ("what is", "what's"), ("I am", "I'm"), ("do not", "don't"),
    ("does not", "doesn't"), ("cannot", "can't"), ("I would", "I'd"), ("How is", "How's"),
    ("it is", "it's"), ("I have", "I've"), ("that is", "that's"), ("Where is", "Where's"),
    ("you are", "you're"), ("is not", "isn't"), ("Who is", "Who's"),
]  # fmt: skip
SYNONYMS = [
    ("tokenmill", "this server"), ("tokenmill", "the server"), ("tokenmill", "your service"),
    ("tokenmill", "Tokenmill"), ("tokenmill", "TokenMill"), ("tokenmill", "token mill"),
    ("requests", "calls"), ("request", "call"), ("answer", "response"), ("answer", "reply"),
    ("show", "display"), ("get", "obtain"), ("use", "utilize"), ("make", "create"),
    ("big", "large"), ("a lot of", "many"), ("per minute", "each minute"), ("error", "failure"),
    ("price", "cost"), ("model", "LLM"), ("API key", "apikey"), ("API key", "access key"),
    ("send", "submit"), ("start", "launch"), ("need", "require"), ("tier", "plan"),
    ("wallet", "account"), ("batch", "batch job"), ("fine-tuning", "finetuning"),
    ("key", "api key"), ("maximum", "max"), ("my ", "our "), ("I ", "we "), ("the ", ""),
    ("per million tokens", "per 1M tokens"), ("million", "mio"), ("stop", "halt"),
    ("find", "locate"), ("possible", "feasible"), ("embeddings", "embedding vectors"),
    ("allowed", "permitted"), ("tell me", "say"), ("delete", "remove"), ("change", "modify"),
]  # fmt: skip
WORD = re.compile(r"[A-Za-z]{4,}")


def roughen(text: str, rng: random.Random) -> str:
    """The text, sometimes changed a little; most stay as they are."""
    if rng.random() < 0.14:
        text = replace_one(text, SYNONYMS, rng)
    if rng.random() < 0.12:
        text = replace_one(text, CONTRACTIONS, rng)
    if rng.random() < 0.12:
        text = rng.choice(OPENINGS) + text[:1].lower() + text[1:]
    if rng.random() < 0.06:
        text = text.rstrip("?.! ") + rng.choice(ENDINGS)
    if rng.random() < 0.22:
        text = text.lower()
    if rng.random() < 0.18:
        text = text.rstrip("?.! ")
    if rng.random() < 0.09:
        text = mistype(text, rng)
    return text


def replace_one(text: str, pairs: list[tuple[str, str]], rng: random.Random) -> str:
    """The text with one of the pairs that fit applied once, at a word's beginning."""
    fitting = [(old, new) for old, new in pairs if re.search(rf"\b{re.escape(old)}", text)]
    if not fitting:
        return text
    old, new = rng.choice(fitting)
    return re.sub(rf"\b{re.escape(old)}", new, text, count=1)


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
