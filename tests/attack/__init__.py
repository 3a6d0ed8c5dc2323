"""Attacks: every reader given hostile inputs, every stage cut off or out of room, each case made from its number."""
