"""Fine-tuning: methods, the training loop, adapters on disk, formats of other tools."""
