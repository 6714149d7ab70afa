mod receive;
mod adjust;

pub(crate) use adjust::adjust;
pub(crate) use receive::receive;
