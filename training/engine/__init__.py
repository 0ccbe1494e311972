"""Everything that touches a language model: plain Python over torch and transformers, no Django."""
