"""What the tests of several registries share."""
