//! What a person does about a checkout that needs attention.

mod cancel;
mod retry;
mod settle;

pub(crate) use cancel::cancel;
pub(crate) use retry::retry;
pub(crate) use settle::settle;

use domain::values::{Operator, Remark};
use edge::Fields;

/// Why he does it, and who he is.
fn why_and_who(fields: &mut Fields<'_>) -> Option<(Remark, Option<Operator>)> {
    let (reason, by) = (fields.required("reason"), fields.optional("by"));
    Some((reason?, by?))
}
