"""Why a house does not start, in words that help; the command line prints them and exits with 1."""


class Refused(Exception):
    """`tokenmill up` cannot start here. The message says what is in the way and what to do."""
