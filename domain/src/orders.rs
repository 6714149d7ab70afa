//! What a customer ordered; the order stream arbitrates between shop and customer.

pub mod order;
