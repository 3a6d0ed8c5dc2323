"""Where encoders come from: the module of each source, imported when asked for, since some take seconds."""

OWN = "pipeline.own"  # the users' networks
SOURCES = {
    "handcrafted": "pipeline.encoders.handcrafted",
    "torchvision": "pipeline.encoders.torchvision_models",
    "huggingface": "pipeline.encoders.huggingface",
    "timm": "pipeline.encoders.timm_models",
    "open_clip": "pipeline.encoders.open_clip_models",
    "python": "pipeline.encoders.python_factory",
    "precomputed": "pipeline.encoders.precomputed",
}
