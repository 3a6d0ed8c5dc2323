"""What a DVC that was cut off left in pieces: its lock and its list of who is at work, made whole again."""
