"""Purses: what accounts have and may do, in a Redis that many houses share."""
