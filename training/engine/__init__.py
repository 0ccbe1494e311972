"""Everything that touches a language model: plain Python over torch and transformers, no Django."""

import os

# Threads that wait by spinning stall each other when other processes want the same cores: with two busy neighbours
# on two cores, a step of generation took 3.4 s and takes 0.3 s with this. Read once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
