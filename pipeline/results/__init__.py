"""What stages wrote, read again: runs, per-query files, pairs, published values, costs."""
