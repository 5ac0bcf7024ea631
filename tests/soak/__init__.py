"""Random faults against real registries, real client processes in three languages, and what must hold after them."""
