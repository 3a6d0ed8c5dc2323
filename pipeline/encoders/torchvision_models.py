"""``source: torchvision``: classification networks of torchvision without their classifier."""

from typing import Any

import torch
from torch import nn
from torchvision import models

from pipeline.encoders.encoder import Encoder
from pipeline.encoders.preprocessing import preprocessing as build_preprocessing
from pipeline.encoders.weights import with_weights
from pipeline.errors import RetrievalError


def build(name: str, weights: Any, preprocessing: Any) -> Encoder:
    """Build a ResNet whose ``fc`` is the identity: the feature is the average-pooled last map.

    Args:
        name: torchvision's, such as ``resnet18``.
        weights: see :func:`pipeline.encoders.weights.with_weights`.
        preprocessing: see :func:`pipeline.encoders.preprocessing.resize_crop_normalise`.

    Raises:
        RetrievalError: torchvision has no such network, or it has no ``fc``.
    """
    where = f"torchvision encoder '{name}'"
    if name not in models.list_models(module=models):
        raise RetrievalError(f"{where}: torchvision has no such network; see torchvision.models.list_models()")
    # The classifier is built and loaded too, so that a checkpoint must fit in every tensor.
    network, identity = with_weights(lambda: models.get_model(name, weights=None), weights, where=where)
    classifier = getattr(network, "fc", None)
    if not isinstance(classifier, nn.Linear):
        raise RetrievalError(f"{where}: it has no classifier named 'fc' to take off; use a ResNet")
    network.fc = nn.Identity()
    # Convolutions run on the layout of their weights; with channels last they are faster on CPUs and GPUs.
    network.to(memory_format=torch.channels_last)
    return Encoder(network.eval(), build_preprocessing(preprocessing, where=where), classifier.in_features, identity)
