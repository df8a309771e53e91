"""Families: questions whose answer copies or computes something out of the question.

Each family is a function of a random generator that returns the messages of one turn; the last
one is the answer. Kept few: copying is the last thing that a small model learns.
"""
