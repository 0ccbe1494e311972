"""What a round made of each amendment, beside what its preview foretold: which to compare, the work, and the tally."""
