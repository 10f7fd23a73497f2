"""What is measured of the whole: speed, the paper's tables, refinement, the demo."""
