"""A file of another tool: its tensors by name. Nothing in it is ever run.

safetensors holds numbers only. A pickle can name any function and have it called, so what it names
is listed before it is opened, and then torch opens it with `weights_only`, which refuses functions
a second time.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from latentdrift.errors import AdapterError
from latentdrift.model.families.families import FAMILIES
from latentdrift.model.model_files import instead_of_weights

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")  # formats that can run code when they are opened
# What other tools call their file inside a folder, the safe ones first; words may lie beside the
# weights of Custom Diffusion.
NAMES = (
    "pytorch_custom_diffusion_weights",
    "pytorch_lora_weights",
    "adapter_model",
    "learned_embeds",
    "diffusion_pytorch_model",
    "controlnet/diffusion_pytorch_model",
)
# Functions and types that a pickle of tensors names.
PARAMETERS = torch.nn.ParameterDict  # what older versions of AUTOMATIC1111 keep a word's vectors in
TENSORS = {
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "collections.OrderedDict",
    *(
        f"torch.{kind}Storage"
        for kind in (
            "Float",
            "Half",
            "BFloat16",
            "Double",
            "Long",
            "Int",
            "Short",
            "Char",
            "Byte",
            "Bool",
        )
    ),
    f"{PARAMETERS.__module__}.{PARAMETERS.__name__}",
    "__builtin__.set",
    "builtins.set",
}
OTHER_CALLS = {
    "STACK_GLOBAL",
    "INST",
    "OBJ",
    "EXT1",
    "EXT2",
    "EXT4",
}  # opcodes that name functions in ways torch.save never does


@dataclass(frozen=True)
class Foreign:
    """Contents of a weights file of another tool."""

    path: Path
    tensors: Mapping[str, Tensor]
    """By name; in lists and nested dicts the names of all levels, with dots between."""
    metadata: Mapping[str, Any]
    """Whatever else it says: strings and numbers."""


def find(path: Path) -> Path | None:
    """Find the weights file of a path.

    It is the file itself, a file of a known name in a folder, or the folder's only safetensors
    file.

    Returns:
        The file; None where there is none.
    """
    if path.is_file():
        return path
    known = next((path / name for name in _file_names() if (path / name).is_file()), None)
    if known or (path / "model_index.json").is_file():  # a base, which may lie in one file as well
        return known
    files = sorted(path.glob("*.safetensors"))
    return files[0] if len(files) == 1 else None


def _file_names() -> Iterator[str]:
    """Files by which a folder is recognised, in the order of preference."""
    networks = [Path(row.network_file).with_suffix("").as_posix() for row in FAMILIES.values()]
    for ending in ("safetensors", "bin"):
        for name in (*NAMES, *networks):
            yield f"{name}.{ending}"


def read(path: Path) -> Foreign:
    """Read a weights file of another tool, by its content and not its ending; no code in it is run.

    Raises:
        AdapterError: Neither safetensors nor tensors pickled by torch, damaged, or a pickle with
            other objects than tensors.
    """
    with path.open("rb") as file:
        start = file.read(9)
    if instead := instead_of_weights(path):
        raise AdapterError(f"{path} is {instead}")
    if start[:4] == b"PK\x03\x04":
        return _pickled(path)
    if start[8:] == b"{":  # behind the length of its header
        return _numbers(path)
    if start[:1] == b"\x80":
        raise AdapterError(
            f"{path} is a bare pickle (or was written by torch before 1.6), which latentdrift does "
            "not open; save it again with a newer torch, or as safetensors, where it was made"
        )
    raise AdapterError(
        f"{path} is neither safetensors nor a file that torch.save wrote; give an adapter file"
    )


def check_finite(folder: Path) -> None:
    """Check that all weights in a folder are finite.

    Raises:
        AdapterError: One is not.
        SafetensorError: A file is damaged.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, "pt") as weights:
            for key in weights.keys():  # noqa: SIM118
                _check_numbers(path, key, weights.get_tensor(key))


def _check_numbers(path: Path, key: str, tensor: Tensor) -> None:
    if tensor.is_floating_point() and not tensor.isfinite().all():
        raise AdapterError(
            f"{path} holds weights that are no numbers (in {key}), from which nothing can be "
            "drawn; copy it again from where it was made, or train it again with a lower learning "
            "rate"
        )


def _numbers(path: Path) -> Foreign:
    try:
        with safe_open(path, "pt") as weights:
            tensors = {key: weights.get_tensor(key) for key in weights.keys()}  # noqa: SIM118
            return _checked(Foreign(path, tensors, weights.metadata() or {}))
    except (SafetensorError, OSError) as error:
        raise AdapterError(
            f"{path} is damaged ({error}); copy it again from where it was made"
        ) from error


def _checked(foreign: Foreign) -> Foreign:
    """A file's tensors, which are numbers and not larger than what the file stores of them.

    Raises:
        AdapterError: They are not.
    """
    for key, tensor in foreign.tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized:
            raise AdapterError(
                f"{foreign.path} holds a sparse or quantised tensor ({key}); get this adapter as "
                "safetensors"
            )
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise AdapterError(
                f"{foreign.path} claims more numbers in {key} than it stores; get this adapter as "
                "safetensors"
            )
        _check_numbers(foreign.path, key, tensor)
    return foreign


def _pickled(path: Path) -> Foreign:
    try:
        _check_archive(path)
        named = sorted(set(_named(path)) - TENSORS)
        if named:
            raise AdapterError(
                f"{path} is refused: opening this pickle would call {', '.join(named)}, "
                "and a file of weights names tensors only; do not open it elsewhere, and "
                "get this adapter as safetensors"
            )
        with torch.serialization.safe_globals([PARAMETERS]):
            tensors_by_name = dict(_flat(torch.load(path, map_location="cpu", weights_only=True)))
    except AdapterError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise AdapterError(
            f"{path} cannot be read as tensors ({reason}); get this adapter as safetensors"
        ) from error
    tensors = {
        key or path.stem: value.detach()
        for key, value in tensors_by_name.items()
        if isinstance(value, Tensor)
    }
    metadata = {
        key: value for key, value in tensors_by_name.items() if isinstance(value, str | int | float)
    }
    return _checked(Foreign(path, tensors, metadata))


MAX_CODE = 16_000_000
"""Bytes of a pickle's own code; the numbers lie beside it. That of a whole Stable Diffusion has 0.3
million."""
MAX_VALUES = 100_000
DEEPEST = 20
"""Values in a file, and lists and dicts within each other. Lists that share their parts grow by
doubling."""


def _check_archive(path: Path) -> None:
    """Check that what lies in a file of torch is as large as the file: torch stores numbers as they
    are.

    Raises:
        AdapterError: It would grow when it is opened.
    """
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
        code = sum(part.file_size for part in parts if part.filename.endswith(".pkl"))
        if packed or sum(part.file_size for part in parts) > path.stat().st_size or code > MAX_CODE:
            raise AdapterError(
                f"{path} is refused: it is packed in a way that torch.save never uses, and would "
                "grow when it is opened; get this adapter as safetensors"
            )


def _named(path: Path) -> Iterator[str]:
    """Every function and type that the pickles inside a file of torch name."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".pkl"):
                for opcode, argument, _ in pickletools.genops(archive.read(name)):
                    if opcode.name == "GLOBAL":
                        yield str(argument).replace(" ", ".")
                    elif opcode.name in OTHER_CALLS:
                        yield f"something that cannot be named beforehand ({opcode.name})"


def _flat(value: Any) -> Iterator[tuple[str, Any]]:
    """Every value in lists and dicts, under the names of all levels with dots between.

    Raises:
        ValueError: More than MAX_VALUES, or deeper than DEEPEST.
    """
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    visited = 0
    while waiting:
        name, value, depth = waiting.pop()
        visited += 1
        if visited > MAX_VALUES or depth > DEEPEST:
            raise ValueError(
                f"it holds more than {MAX_VALUES} values, or lists more than {DEEPEST} levels deep"
            )
        if isinstance(value, PARAMETERS):
            value = dict(value.items())
        if isinstance(value, Mapping | list | tuple):
            items = list(value.items() if isinstance(value, Mapping) else enumerate(value))
            waiting += [
                (f"{name}.{key}" if name else str(key), part, depth + 1)
                for key, part in reversed(items)
            ]
        else:
            yield name, value
