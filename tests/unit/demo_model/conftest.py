"""Makes `demo_model` importable: it lies beside the package and is not a part of the wheel."""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "python" / "demo_model"

if "demo_model" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "demo_model", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo_model"] = module
    spec.loader.exec_module(module)
