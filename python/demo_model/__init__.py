"""How the demo model is made: its corpus, tokenizer, trainer, export and evaluation.

Not a part of the wheel and imported by nothing in it: what ships is the folder of weights that
`python -m demo_model.train` writes. README.md says how to run it and what came out.
"""
