"""The engines by what a caller asks for."""

from headpose_fast.sharding.making import Engine


def engine_for(ray: str | bool) -> Engine:
    """Return what runs tasks: this process, or a Ray cluster by its address.

    Raises ModuleNotFoundError without Ray.
    """
    if ray:
        from headpose_fast.sharding.on_ray import OnRay

        return OnRay(None if ray is True else ray)
    from headpose_fast.sharding.local import Local

    return Local()
