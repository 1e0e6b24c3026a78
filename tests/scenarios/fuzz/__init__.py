"""Random journeys in random worlds: what both drivers must agree on, and what must hold of every one of them."""
