"""A small simulated world: people, rooms, things, time and rules, and questions about what is told of it."""
