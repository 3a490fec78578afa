"""A small world of films and people as facts, and questions about it."""
