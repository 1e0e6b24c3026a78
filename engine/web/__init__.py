"""The HTTP face: events in, preference pages, reads for operators."""
