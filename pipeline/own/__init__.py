"""Your own networks, for ``source: python``: ``factory: pipeline.own.my_networks:resnet20``.

What lies here, and what it imports from this project, is part of what DVC watches: an edit makes the features of its
encoder anew, and of no other. Nothing else in this project imports it.
"""
