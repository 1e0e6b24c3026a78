"""Read models: why was this sent, why was it not."""
