"""Pages and pieces of HTML: reports, notebooks, numbers with their nouns."""
