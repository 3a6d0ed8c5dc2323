"""A dataset's archives, from where they are published to data/raw.

``python -m pipeline.fetch dataset=voc_val`` does what ``fetch`` in ``conf/dataset/voc_val.yaml`` says. It is
no stage: ``dvc repro`` downloads nothing.
"""

from omegaconf import DictConfig

from pipeline.datasets.parcels import fetch, read_parcels
from pipeline.frame.app import app, plain


@app("fetch")
def main(config: DictConfig) -> None:
    """Run the download."""
    for parcel in read_parcels(config.dataset_name, plain(config.dataset)):
        fetch(parcel)


if __name__ == "__main__":
    main()
