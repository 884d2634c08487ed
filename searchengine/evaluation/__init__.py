"""Measuring a model: retrieval recall, zero-shot classification, the linear probe."""
