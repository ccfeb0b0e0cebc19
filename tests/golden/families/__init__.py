"""Per family: how our networks agree with the published implementations."""
