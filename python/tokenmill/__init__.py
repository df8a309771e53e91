"""tokenmill: a metered, multi-tenant, OpenAI-compatible API over vLLM engines.

Importing this package has no effect: no settings are read and nothing is started.
"""

from tokenmill._native import VERSION as __version__

__all__ = ["__version__"]
