"""Whether a run can fail."""
