"""`kafinea diff`: what a plan would change, or what a load has changed."""
