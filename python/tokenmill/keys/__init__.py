"""API keys: secrets shown once, stored as digests, looked up in the hot segment."""
