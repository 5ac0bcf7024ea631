"""What is told from what was measured."""
