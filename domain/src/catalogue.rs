//! What the shop sells, and for how much.

pub mod product;
