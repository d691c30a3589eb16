"""One file per question: realism, utility, attributes, prompts, counterfactuals."""
