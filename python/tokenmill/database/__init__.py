"""The database: where it is, its connection, its tables and how they change.

SQLite in the state folder by default, PostgreSQL by URL. One process of a house works on it:
control, or a command that holds the state folder's lock.
"""
