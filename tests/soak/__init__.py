"""Random faults against real etcd nodes, real client processes in three languages, and what must hold after them."""
