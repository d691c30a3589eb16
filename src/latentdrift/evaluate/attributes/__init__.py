"""Attributes and prompts that images show, and changes of attributes that edits make."""
