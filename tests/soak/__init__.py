"""Random faults against real registries, real client processes in all languages, and what must hold after them."""
