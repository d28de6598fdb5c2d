"""What the holder of a key may ask of the machine: models, programs, vectors."""
