"""Features -> ranks -> metrics: protocols, steps after extraction, uncertainty. Arrays in, arrays out; no other room.

Its errors and its check of settings are everyone's; nothing here reads a file or a config.
"""
