"""Files as people have them -> features, and lists of what is known about their rows."""
