"""All evaluations as report.json and one HTML page."""
