"""Which images a dataset has, what is in them, the exact bytes that were meant; decoding them."""
