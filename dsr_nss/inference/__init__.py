"""Predictions: load a network, predict images, folders and videos, adapt its statistics."""
