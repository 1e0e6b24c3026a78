"""The small language of every condition and computed value: parsed, typed, walked, never evaluated as code. Pure."""
