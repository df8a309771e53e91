"""The embedded engine: mistral.rs in a process of its own, behind HTTP with vLLM's contract.

`python -m tokenmill.engines.embedded` serves it. What mistral.rs cannot do is refused by name.
Nothing outside this folder imports from it: the gateway speaks HTTP with it, as with any vLLM.
"""
