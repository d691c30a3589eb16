"""METHODS: one file per fine-tuning method."""
