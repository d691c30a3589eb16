"""EDITORS: one file per editing method."""
