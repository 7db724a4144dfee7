"""What a reader sees of a fitted mixture: plots and the report."""
