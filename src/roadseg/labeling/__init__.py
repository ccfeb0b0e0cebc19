"""Makes training labels: from one labeled frame for its neighbors, and from a network for pictures that have none."""

__all__: list[str] = []
