//! What a node does next for a Pod, and what its status is. Pure.
