"""The control plane: one process a machine that finds engines, keeps the keys, shows and counts."""
