"""Features made small: fewer dimensions, or codes that are ranked as they are stored."""
