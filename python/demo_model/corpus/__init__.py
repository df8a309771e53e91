"""What the model learns: intents with their phrasings, copying families, and how they are mixed."""
