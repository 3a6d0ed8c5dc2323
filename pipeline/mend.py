"""What a run that was cut off left in pieces, made whole or removed: DVC's lock, its list of who is at work, results.

``python -m pipeline.mend`` says what it mended, a line each, and nothing where all is whole. ``make`` runs it before
DVC; who types ``dvc repro`` runs it after a run was cut off.
"""

import sys

from pipeline.mending.mending import mend
from pipeline.retrieval.errors import RetrievalError


def main() -> None:
    """Run the command; it reads no config, and Hydra would take longer than all else."""
    if sys.argv[1:]:
        print(__doc__)
        raise SystemExit(0 if sys.argv[1] in ("-h", "--help") else 2)
    try:
        for line in mend():
            print(line)
    except (RetrievalError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
