"""How fast things are and where the time goes: ratios measured in one run, never timed tests."""
