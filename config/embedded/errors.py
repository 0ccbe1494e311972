class EmbeddedError(RuntimeError):
    """An embedded service cannot run here. The text is a sentence that says what to do."""
