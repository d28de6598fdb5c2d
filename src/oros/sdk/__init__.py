"""What apps, shells and tests are made with."""
