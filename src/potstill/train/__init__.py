"""Trains the student on the teacher's answers: builds it, runs the one training loop, and leaves a model folder."""

from potstill.train.stage import train

__all__ = ["train"]
