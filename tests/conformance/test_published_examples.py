"""Every example of the public documentation runs as printed, base URL and key aside.

The files in `examples/` are those blocks, indented; one that continues an earlier block of its page
gets the client of that block in front. What an example must print is in the table below.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clients import client_environment, client_python, node_folder
from tests.support.house import House

EXAMPLES = Path(__file__).parent / "examples"
PUBLISHED_BASE = "https://dash.packet.ai"
PUBLISHED_KEY = "pk_live_YOUR_API_KEY"

PYTHON_CLIENT = """\
from openai import OpenAI
client = OpenAI(base_url="https://dash.packet.ai/api/v1", api_key="pk_live_YOUR_API_KEY")
"""
NODE_CLIENT = """\
import OpenAI from 'openai';
const client = new OpenAI({
  baseURL: 'https://dash.packet.ai/api/v1', apiKey: 'pk_live_YOUR_API_KEY' });
"""
SHOW_PYTHON = "\nprint(response.choices[0].message.content)\n"
SHOW_NODE = "\nconsole.log(response.choices[0].message.content);\n"

# example -> (appended to show what it got, regular expression that its output must contain)
CASES: dict[str, tuple[str, str]] = {
    "inference_01_chat.sh": ("", r'"content": ?"[^"]*[Mm]achine learning'),
    "inference_02_chat.py": ("", r"(?i)quantum"),
    "inference_03_chat.mjs": ("", r"(?i)machine learning"),
    "inference_04_stream.py": ("", r"(?i)robot[\s\S]+\."),
    "inference_05_stream.mjs": ("", r"(?s)\w+ \w+.*\."),
    "inference_06_json_mode.py": (SHOW_PYTHON, r"John Smith"),
    "inference_07_json_schema.py": (SHOW_PYTHON, r"apples"),
    "inference_08_json_schema.mjs": (SHOW_NODE, r"John"),
    "inference_09_tools.py": ("\nprint(len(tools))\n", r"^2$"),
    "inference_10_function_calling.py": ("", r"Paris.*22 ?°C"),
    "inference_11_embeddings.sh": ("", r'"embedding": ?\[-?\d'),
    "inference_12_embeddings.py": (
        "",
        r"Embedding dimension: \d+\n(Document \d: \d+ dimensions\n){3}",
    ),
    "inference_13_semantic_search.py": ("", r"(Machine learning uses|TensorFlow is)"),
    "inference_14_errors.py": (SHOW_PYTHON, r"(?i)hello|hi"),
    "gateway_01_first_request.sh": ("", r'"content": ?"[^"]+"'),
    "gateway_02_chat.py": ("", r"\w+ \w+"),
    "gateway_03_stream.py": ("", r"(?s)\w+ \w+.*\."),
    "gateway_04_chat.mjs": ("", r"(?i)hello|hi"),
    "gateway_05_stream.mjs": ("", r"(?s)\w+ \w+.*\."),
    "gateway_06_stream.sh": ("", r"data: \{[\s\S]+data: \[DONE\]"),
    "gateway_07_langchain.py": ("", r"Paris"),
    "gateway_08_llama_index.py": ("\nprint(response.text)\n", r"\w+"),
    "gateway_09_models.sh": ("", r'"object": ?"list"'),
    "gateway_10_health.sh": ("\n", r"\{.*\}"),
    "gateway_11_errors.py": ("", r"(?i)hello|hi"),
    "gateway_12_errors.mjs": ("", r"(?i)hello|hi"),
    "gateway_13_rate_limits.py": (
        '\nprint(make_request_with_retry([{"role": "user", "content": "Hello"}]).object)\n',
        r"chat\.completion",
    ),
}
JSON_SHAPES = {  # examples with a schema: the members their answer must have, with their types
    "inference_07_json_schema.py": {
        "product_name": str,
        "quantity": int,
        "unit_price": (int, float),
        "total_price": (int, float),
    },
    "inference_08_json_schema.mjs": {
        "title": str,
        "attendees": list,
        "date": str,
        "time": str,
        "location": str,
    },
}


def as_run(name: str, house: House) -> str:
    """The example with its client, its output shown, and the address and key of a real house."""
    shown, _ = CASES[name]
    text = (EXAMPLES / name).read_text() + shown
    if name.endswith(".py") and "client." in text and "OpenAI(" not in text:
        text = PYTHON_CLIENT + text
    if name.endswith(".mjs") and "new OpenAI" not in text:
        text = NODE_CLIENT + text
    text = text.replace("http://YOUR-IP:PORT", house.url)
    return text.replace(PUBLISHED_BASE, house.url).replace(PUBLISHED_KEY, house.key)


def command_for(name: str, script: Path) -> list[str]:
    """What runs the example; clients whose pins collide with ours live in a place of their own."""
    if name.endswith(".sh"):
        return ["bash", str(script)]
    if name.endswith(".mjs"):
        return ["node", str(script)]
    python = client_python("openai2") if "llama_index" in name else Path(sys.executable)
    return [str(python), str(script)]


def test_every_example_file_is_run() -> None:
    assert sorted(CASES) == sorted(path.name for path in EXAMPLES.iterdir())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(CASES))
def test_published_example_runs_as_printed(name: str, house: House, tmp_path: Path) -> None:
    folder = node_folder(tmp_path) if name.endswith(".mjs") else tmp_path
    script = folder / name
    script.write_text(as_run(name, house))
    done = subprocess.run(
        command_for(name, script),
        capture_output=True,
        text=True,
        timeout=240,
        cwd=folder,
        env={**client_environment(), "PYTHONWARNINGS": "default"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(CASES[name][1], done.stdout, re.MULTILINE), done.stdout[-2000:]
    if name in JSON_SHAPES:
        answer = json.loads(done.stdout)
        for member, kind in JSON_SHAPES[name].items():
            assert isinstance(answer[member], kind), answer


def test_semantic_search_ranks_machine_learning_above_javascript(
    house: House, tmp_path: Path
) -> None:
    script = tmp_path / "search.py"
    script.write_text(as_run("inference_13_semantic_search.py", house))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True
    )
    best = done.stdout.splitlines()[1:3]
    assert all("Machine learning uses" in line or "TensorFlow" in line for line in best), best


def letters(text: str) -> str:
    """The text without white space: the published pages lost their indentation."""
    return re.sub(r"\s+", "", text)


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(CASES))
def test_example_equals_the_published_text(name: str) -> None:
    folder = Path(__file__).parents[3] / "shared" / "spec"
    if not folder.is_dir():
        pytest.skip("the published documents lie beside a development checkout only")
    pages = "".join(letters(path.read_text()) for path in sorted(folder.glob("*.txt")))
    assert letters((EXAMPLES / name).read_text()) in pages
