"""Files from a network, checked and whole, and what archives hold."""
