"""What measurements of training rounds share: the law and the rows of each arm, a plain script beside the recipe."""
