"""Image in, running processes out: one runtime an engine, and what can be seen of the instances."""
