"""What alignment is worth to the pseudo-labels."""
