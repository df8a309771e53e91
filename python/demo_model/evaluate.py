"""Asks an exported model through mistral.rs: fresh samples by kind, or the questions of a file.

    RAYON_NUM_THREADS=1 RUST_LOG=error python -m demo_model.evaluate FOLDER --samples 400
    RAYON_NUM_THREADS=1 RUST_LOG=error python -m demo_model.evaluate FOLDER --ask questions.json

Fresh samples are judged word for word; questions are printed with their answers for a person to
judge. A file of questions is a JSON list of strings or of conversations (lists of messages).
"""

import argparse
import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mistralrs import Architecture, ChatCompletionRequest, ModelDType, Runner, Which

from demo_model.corpus.conversation import FAMILIES, ask_intent, completion
from demo_model.rendering import Message, list_tools

ANSWER_TOKENS_MAX = 256
SAMPLE_SEED = 77_777  # far from the seeds of training and validation


@dataclass(frozen=True)
class Answer:
    text: str
    finish: str


class Asker:
    """A loaded model that answers one conversation at a time."""

    def __init__(self, folder: Path) -> None:
        which: Any = Which.Plain(
            model_id=str(folder), arch=Architecture.Llama, dtype=ModelDType.F32
        )
        self.runner = Runner(which=which, max_seqs=1, prefix_cache_n=0)

    def ask(self, messages: list[Message], temperature: float = 0.0) -> Answer:
        request = ChatCompletionRequest(
            model="default",
            messages=messages,
            max_tokens=ANSWER_TOKENS_MAX,
            temperature=temperature,
            stream=False,
        )
        response: Any = self.runner.send_chat_completion_request(request)
        choice = response.choices[0]
        return Answer(choice.message.content or "", choice.finish_reason)


def as_request(conversation: list[Message], rng: random.Random) -> list[Message]:
    """What an engine would be sent: tools rendered into the system message, raw prompts as raw."""
    first = conversation[0]
    if "raw" in first:
        return [{"role": "raw", "content": first["raw"]}]
    plain = [{"role": m["role"], "content": m["content"]} for m in conversation if "role" in m]
    if "tools" not in first:
        return plain
    styles: list[dict[str, Any]] = [{}, {"separators": (",", ":")}]
    listing, rest = list_tools([first, *plain], rng.choice(styles))
    content = listing.removeprefix("<|im_start|>system\n").removesuffix("<|im_end|>\n")
    return [{"role": "system", "content": content}, *rest]


def check_samples(asker: Asker, count: int, temperature: float) -> None:
    """Prints, for each kind, how many of `count` fresh samples are answered word for word."""
    for make in (ask_intent, completion, *FAMILIES):
        name = make.__name__
        rng = random.Random(SAMPLE_SEED)
        size = count if make is ask_intent else max(20, count // 10)
        results: Counter[str] = Counter()
        for _ in range(size):
            *asked, wanted = make(rng)
            if "raw" in wanted:
                asked, wanted = [wanted], {"content": wanted["continuation"]}
            answer = asker.ask(as_request(asked, rng), temperature)
            is_right = answer.text.strip() == wanted["content"].strip()
            results["right" if is_right else "wrong"] += 1
            results[answer.finish] += 1
            if not is_right:
                print(f"  {name}: {asked[-1]} -> {answer.text!r}")
        print(f"{name}: {results['right']} of {size}, {results['stop']} ended by themselves")


def ask_file(asker: Asker, path: Path, temperature: float) -> None:
    for question in json.loads(path.read_text()):
        messages = question
        if isinstance(question, str):
            messages = [{"role": "user", "content": question}]
        answer = asker.ask(as_request(messages, random.Random(0)), temperature)
        pair = {"question": question, "answer": answer.text, "finish": answer.finish}
        print(json.dumps(pair, ensure_ascii=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--ask", type=Path)
    parser.add_argument("--temperature", type=float, default=0.0)
    options = parser.parse_args()
    asker = Asker(options.folder)
    if options.ask:
        ask_file(asker, options.ask, options.temperature)
    else:
        check_samples(asker, options.samples, options.temperature)


if __name__ == "__main__":
    main()
