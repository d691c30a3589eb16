"""Jobs of verbs that workers share: what each item is, and what a worker loads for it."""
