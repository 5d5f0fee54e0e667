"""Real servers for the download tests."""
