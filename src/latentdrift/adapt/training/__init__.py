"""The training loop: batches, caches, checkpoints, losses, schedules."""
