"""One page that shows a kernel at every stage, and what became of each of its lines."""
