"""LoRA adapters that operators name: where they lie, which engines hold them, who makes room."""
