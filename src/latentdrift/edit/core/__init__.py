"""What every editor needs: the task, attention control, masks."""
