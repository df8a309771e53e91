"""Model servers: vLLM found or supervised, and the embedded engine behind the same HTTP contract."""
