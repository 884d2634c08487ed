"""Contrastive fine-tuning of a model on captioned images."""
