"""Other people's documents as values of ours, and a list of what could not be mapped. Their text is hostile text."""
