"""What comes in and goes out over HTTP: foreign bodies to domain values, domain values to JSON."""
