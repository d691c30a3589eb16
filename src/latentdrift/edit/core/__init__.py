"""Core of all editors: the task, attention control, masks."""
