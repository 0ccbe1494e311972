"""Scenarios made from a constitution: the same file of frames, version and seed give the same ones, byte for byte."""
