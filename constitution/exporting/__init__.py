"""The history as files for others: JSON with its proof, Markdown, CSV, and a git repository."""
