"""tokenmill: a metered, multi-tenant, OpenAI-compatible API over vLLM engines.

Importing this package has no effect: no settings are read and nothing is started.
"""

from tokenmill import _native

__version__ = _native.VERSION

__all__ = ["__version__"]
