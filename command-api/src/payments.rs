mod refund;

pub(crate) use refund::refund;
