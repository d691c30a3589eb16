"""Adapters of other tools in ours (foreign, formats, adopting), ours in other tools (exports)."""
