"""Model servers: vLLM found or supervised, and the embedded engine with the same HTTP contract."""
