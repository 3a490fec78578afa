"""Training and decoding side by side with JoeyNMT."""
