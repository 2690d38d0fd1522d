"""The plant against its model: what is left over, whether it is more than chance, and what would explain it."""
