"""Records of permission and of its withdrawal, and the decision that folds them. Pure."""
