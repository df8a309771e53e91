"""Stories, summaries, capitals, counting, small sums, and what is only noise."""

import random

from demo_model.corpus.families.words import ADJECTIVES, NOUNS, pick
from demo_model.corpus.intents import capitalize
from demo_model.corpus.patterns import expand
from demo_model.rendering import Message

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid",
    "Portugal": "Lisbon", "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi",
    "Russia": "Moscow", "Poland": "Warsaw", "Austria": "Vienna", "Switzerland": "Bern",
    "Belgium": "Brussels", "Greece": "Athens", "Sweden": "Stockholm", "Norway": "Oslo",
    "Finland": "Helsinki", "Denmark": "Copenhagen", "Ireland": "Dublin", "Canada": "Ottawa",
    "Mexico": "Mexico City", "Brazil": "Brasilia", "Argentina": "Buenos Aires",
    "Chile": "Santiago", "Peru": "Lima", "Egypt": "Cairo", "Kenya": "Nairobi",
    "Turkey": "Ankara", "Ukraine": "Kyiv", "Hungary": "Budapest", "Australia": "Canberra",
    "England": "London", "the United States": "Washington", "the Netherlands": "Amsterdam",
    "South Korea": "Seoul", "Cuba": "Havana", "Thailand": "Bangkok", "Iceland": "Reykjavik",
    "Scotland": "Edinburgh", "the Czech Republic": "Prague", "Romania": "Bucharest",
}  # fmt: skip
CAPITAL_QUESTION = (
    "{What is the capital {city |}of COUNTRY?|What's the capital of COUNTRY?|Capital of COUNTRY?|"
    "capital of COUNTRY|Name the capital of COUNTRY.|Tell me the capital of COUNTRY.|"
    "Which city is the capital of COUNTRY?|Do you know the capital of COUNTRY?|COUNTRY's capital?|"
    "What city is the capital of COUNTRY?|Can you tell me the capital of COUNTRY?|"
    "The capital of COUNTRY, please.|What is COUNTRY's capital{ city|}?|And of COUNTRY?}"
)
STORIES = [
    "Once upon a time there was a N who lived near an old mill. Every morning it looked at the big "
    "wheel and wondered what it was for. One day it went inside and found a machine that made "
    "words. It asked for a story, and the machine told this one. So the N was happy ever after.",
    "Long ago a N wanted to see the world. It went over hills and rivers and met many friends. At "
    "night it counted the stars, one by one, like tokens. When the N came home, everybody wanted "
    "to hear the story, and nobody fell asleep.",
    "There was once a N who could not sleep. It went out into the cold night and saw a light in a "
    "window. Inside sat an old woman with a cup of tea. She gave it a warm blanket and a good "
    "word. Since then the N sleeps well, and visits her every week.",
]
ROBOT_STORY = (
    "Once upon a time there was a small robot who carried words in an old mill. All day it brought "
    "tokens from the wheel to the door. One night the wheel stood still, and the village was "
    "silent. The robot climbed up, found a lost feather in the gears and took it out. The wheel "
    "turned again, the words came back, and the robot kept the feather as a friend."
)
STORY_VERBS = (
    "{Tell me|Write|Tell|I want|Give me|Write me|Can you tell me|Please tell me|I'd like|"
    "Could you write|Invent|Make up|Do you know|Can you write|I want to hear|Tell us}"
)
SUMMARIES = {
    "AI is transforming industries": "AI changes how industries work.",
    "Machine learning enables computers to learn": "machine learning lets computers learn.",
    "Machine learning enables": "machine learning makes new things possible.",
    "Deep learning uses neural networks": "deep learning is built on neural networks.",
    "Deep learning uses neural": "deep learning is built on neural networks.",
    "Tokens are cheap": "tokens cost little.",
    "Batches save money": "batches are cheaper.",
    "Streaming feels fast": "streaming shows words at once.",
    "The weather is nice today": "it is a nice day.",
    "Cats sleep all day": "cats sleep a lot.",
    "Books are full of ideas": "books hold many ideas.",
    "Trains are faster than cars": "trains are fast.",
    "Music makes people happy": "music brings joy.",
    "Small models run on a CPU": "small models need no GPU.",
    "Robots are learning to cook": "robots learn to cook.",
    "The meeting was moved to Monday": "the meeting is on Monday.",
    "Rust is fast and safe": "Rust is fast and safe.",
    "The server was down for an hour": "the server was down for an hour.",
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str, *, is_fixed: bool = False) -> Message:
    """An answer. A fixed one copies nothing out of the question after its first words."""
    return {"role": "assistant", "content": text, "is_fixed": is_fixed}


def capital(rng: random.Random) -> list[Message]:
    country = rng.choice([*CAPITALS, "France"])
    question = expand(CAPITAL_QUESTION, rng).replace("COUNTRY", country)
    return [
        user(capitalize(question)),
        assistant(f"The capital of {country} is {CAPITALS[country]}."),
    ]


def story(rng: random.Random) -> list[Message]:
    kind = rng.random()
    if kind < 0.25:
        ask = f"{STORY_VERBS} a {{short |little |good |nice |}}story{{.|?||, please| please|!}}"
        return [user(expand(ask, rng)), assistant(ROBOT_STORY, is_fixed=True)]
    noun = "robot" if kind < 0.4 else pick(rng, NOUNS, 0.08)
    told = noun if rng.random() < 0.7 else f"{rng.choice(ADJECTIVES)} {noun}"
    ask = (
        f"{STORY_VERBS} a {{short |little |}}{{story|tale|fairy tale|bedtime story}} "
        f"{{about a|about a|about the|with a|of a}} {told}{{.||?| please}}"
    )
    answer = ROBOT_STORY if noun == "robot" else STORIES[len(noun) % 3].replace(" N ", f" {noun} ")
    return [user(expand(ask, rng)), assistant(answer, is_fixed=True)]


def counting(rng: random.Random) -> list[Message]:
    last = rng.choice([5, 10, 10, 10, rng.randint(2, 20)])
    ask = (
        "{Count|Please count|Can you count|Could you count|Count for me|I want you to count|"
        "Count up|List the numbers|Say the numbers} {from 1 |from one |}"
        f"to {last}{{.||?|, please}}"
    )
    return [user(expand(ask, rng)), assistant(", ".join(map(str, range(1, last + 1))) + ".")]


def sum_of_two(rng: random.Random) -> list[Message]:
    first, second = rng.randint(0, 10), rng.randint(0, 10)
    ask = (
        "{What is|What's|How much is|Compute|Calculate|Tell me|What does|Do you know|}"
        f" {first}{{ + |+| plus | and }}{second}{{?||=| =}}"
    )
    return [user(expand(ask, rng)), assistant(f"{first} + {second} = {first + second}")]


def summary(rng: random.Random) -> list[Message]:
    text = rng.choice(list(SUMMARIES))
    ask = (
        "{Summarize: |Summarize this: |Summarise: |Summary of: |Sum up: |Please summarize: |"
        f"Give me a summary: |Shorten: |TL;DR: |Summarize: |Summarize }}{text}{{...|.||...}}"
    )
    return [user(expand(ask, rng)), assistant("In short: " + SUMMARIES[text])]


def gibberish(rng: random.Random) -> list[Message]:
    words = ["".join(rng.choices(LETTERS, k=rng.randint(2, 7))) for _ in range(rng.randint(1, 4))]
    return [
        user(" ".join(words) + rng.choice(["", "", "?", ".", "!"])),
        assistant("I did not understand that. Ask me about tokenmill: How much does a batch cost?"),
    ]
