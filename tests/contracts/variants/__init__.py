"""Per family: the networks that are put through the contracts, small ones where the published one is large.

Each module holds ``VARIANTS``, a mapping from a name to a function that builds a network for a number of classes. The
first one stands for the family where a test is too slow to be run on all.
"""
