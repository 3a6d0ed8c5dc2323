"""What an encoder's YAML says of its weights, where they are, and the tensors in them."""
