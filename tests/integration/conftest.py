"""Fixtures of this room: the vLLM servers that several modules share, and a house before them."""

from tests.support.real_vllm import chat_vllm, embed_vllm, vllm_house, vllm_servers

__all__ = ["chat_vllm", "embed_vllm", "vllm_house", "vllm_servers"]
