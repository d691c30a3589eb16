"""Edit requests in; counterfactuals, series and records out."""
