"""Choosing where shards go, and who makes them."""

from __future__ import annotations

import os
from pathlib import Path

from headpose_fast.bundle.shards import is_stem
from headpose_fast.output import require_writable
from headpose_fast.sharding.destinations import Destination, Folder
from headpose_fast.sharding.local import Local
from headpose_fast.sharding.making import Engine
from headpose_fast.stores.addresses import folder_of


def destination_for(output: str | os.PathLike[str] | None, name: str) -> tuple[Destination, str]:
    """Return where shards go, and the name of their index.

    Args:
        output: A folder or a path that ends in `.json`, or an address of either; None for the
            current folder.
        name: Of the index in a folder, without `.json`.

    Raises OSError if nothing can be written there, ValueError for a malformed address or name.

    """
    place, index = _destination_for(output, name)
    if not is_stem(Path(index).stem):
        raise ValueError(f"{index!r} cannot be the name of an index: choose one of letters")
    return place, index


def _destination_for(output: str | os.PathLike[str] | None, name: str) -> tuple[Destination, str]:
    if isinstance(output, str) and output.startswith("s3://"):
        from headpose_fast.sharding.bucket import Bucket

        folder, index = folder_of(output, f"{name}.json")
        return Bucket(folder), index
    path = Path() if output is None else Path(output)
    if path.suffix == ".json":
        require_writable(path)
        return Folder(path.parent), path.name
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder to write shards to")
    return Folder(path), f"{name}.json"


def engine_for(ray: str | bool) -> Engine:
    """Return what runs tasks: this process, or a Ray cluster by its address.

    Raises ModuleNotFoundError without Ray.
    """
    if ray:
        from headpose_fast.sharding.on_ray import OnRay

        return OnRay(None if ray is True else ray)
    return Local()
