"""Vectors in a PostgreSQL database with pgvector."""
