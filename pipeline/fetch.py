"""A dataset's files, from where they are published to data/raw.

``python -m pipeline.fetch dataset=voc_val`` does what ``fetch`` in ``conf/dataset/voc_val.yaml`` says; a dataset of the
kind ``torchvision`` or ``huggingface`` is fetched by that package. It is no stage: ``dvc repro`` downloads nothing.
"""

from omegaconf import DictConfig

from pipeline.datasets.getting.dataset import ways_to_get
from pipeline.frame.app import app, plain
from pipeline.results.titles import without_title


@app("fetch")
def main(config: DictConfig) -> None:
    """Run the download."""
    for get in ways_to_get(config.dataset_name, without_title(plain(config.dataset))):
        get()


if __name__ == "__main__":
    main()
