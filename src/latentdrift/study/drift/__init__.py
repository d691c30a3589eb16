"""Which drift suits a cohort: closed form, grid search, copy slope."""
