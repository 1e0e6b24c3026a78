"""What crosses the border to Temporal: values, their JSON, and plans by their hash. Ids only, never a person's data."""
