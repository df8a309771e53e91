"""A supervised `vllm serve`: whether it can run here, its command line, the child that holds it."""
