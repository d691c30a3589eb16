"""The loop: optimiser steps, checkpoints, previews, several processes."""
