"""`latentdrift --print-completion bash`: a script by which a shell completes verbs and options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from latentdrift.cli.help_text import print_page

SHELLS = ("bash", "zsh", "tcsh")


class PrintCompletion(argparse.Action):
    """Print the completion script of a shell, by shtab, and leave."""

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        build: Callable[..., argparse.ArgumentParser],
        **options: Any,
    ) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, choices=SHELLS, **options)
        self.build = build

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: Any, *_: object
    ) -> None:
        """Print the script for the shell in `values`."""
        try:
            import shtab
        except ImportError:
            parser.exit(
                1,
                "latentdrift: --print-completion needs the package shtab, which is not installed: "
                "pip install 'latentdrift[completion]'\n",
            )
        print_page(shtab.complete(self.build(completion=True), shell=values))
        parser.exit()
