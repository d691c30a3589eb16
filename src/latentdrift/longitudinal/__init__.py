"""What happens to a patient between two visits: intervals, tissue volumes, and their model."""
