"""Methods x variants x seeds as literal tables, and the paper's tables."""
