"""From graphs to loop nests."""
