"""What stages say of their results, written and read again: runs, per-query files, pairs, published values, costs."""
