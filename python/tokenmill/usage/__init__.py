"""Usage: a row for each settled request, sums by the hour, and what is asked of them."""
