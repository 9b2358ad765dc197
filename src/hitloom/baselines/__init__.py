"""Classical track finders that stand beside the learned systems: same hits in, same labels out."""
