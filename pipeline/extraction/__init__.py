"""Images through an encoder: batches, parts, resume, guards, provenance, cost; features on disk."""
