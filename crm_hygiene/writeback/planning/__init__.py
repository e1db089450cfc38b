"""Planning: one module per kind of change, each made of what golden says and what the target held."""
