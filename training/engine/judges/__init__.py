"""The judges beside the probe, what all of them keep to, and how one is chosen and measured."""
