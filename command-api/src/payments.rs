mod refund;

pub(crate) use refund::{body as refund_body, refund};
