//! Planted bugs: filled with the demo scenes.
