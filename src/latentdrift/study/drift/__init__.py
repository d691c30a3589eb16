"""Choice of a drift for a cohort: closed form, grid search, copy slope."""
