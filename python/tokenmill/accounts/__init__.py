"""Accounts: who pays, and which tier's limits hold."""
