mod receive;
mod adjust;

pub(crate) use adjust::{adjust, body as adjust_body};
pub(crate) use receive::{body as receive_body, receive};
