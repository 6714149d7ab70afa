use super::Invalid;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};

/// A newtype of a string with one rule: the function gives the text to keep, or nothing; the pattern says the same to
/// those who only have the schema, and a test holds the two together.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $pattern:expr, $longest:literal, $keep:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                let keep: fn(String) -> Option<String> = $keep;
                keep(text).map(Self).ok_or(Invalid::new($rule))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": $rule,
                    "minLength": 1,
                    "maxLength": $longest,
                    "pattern": $pattern,
                })
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Invalid;

            fn try_from(text: &str) -> Result<Self, Invalid> {
                text.to_owned().try_into()
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                text.try_into()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Some character that is seen, and no control character.
const PROSE: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";

text!(
    /// A stock keeping unit, the shop's own code of a product: `85123A`. Upper and lower case are
    /// different SKUs.
    Sku,
    "a SKU is 1 to 64 letters, digits, '.', '_' or '-', and starts with a letter or a digit",
    "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    64,
    |text| {
        let fits = within(&text, 64, |b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && text.as_bytes()[0].is_ascii_alphanumeric();
        fits.then_some(text)
    }
);

text!(
    /// How the shop knows a customer: a number or a code, never a name or an address.
    CustomerRef,
    "a customer reference is 1 to 64 printable ASCII characters without spaces",
    "^[!-~]+$",
    64,
    |text| within(&text, 64, |b| b.is_ascii_graphic()).then_some(text)
);

text!(
    /// The payment provider's name for a way to pay: `pm_card_visa`.
    PaymentMethod,
    "a payment method is 1 to 64 letters, digits or '_'",
    "^[A-Za-z0-9_]+$",
    64,
    |text| within(&text, 64, |b| b.is_ascii_alphanumeric() || b == b'_').then_some(text)
);

text!(
    /// The name of a product as people read it. Space at its ends is dropped.
    ProductName,
    "a product name has 1 to 200 characters, and no control characters",
    PROSE,
    200,
    |text| trimmed(&text, 200)
);

text!(
    /// Why something happened, as a word for programs: `out-of-stock`.
    Reason,
    "a reason is 1 to 40 lower-case letters, digits or '-'",
    "^[a-z0-9-]+$",
    40,
    |text| {
        within(&text, 40, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            .then_some(text)
    }
);

text!(
    /// What a person says of what he does, in his own words. Space at its ends is dropped. It stays in
    /// the log for ever, so it is no place for a customer's name.
    Remark,
    "a remark has 1 to 500 characters, and no control characters",
    PROSE,
    500,
    |text| trimmed(&text, 500)
);

text!(
    /// How a person who runs the shop is known to those who run it with him: a login name.
    Operator,
    "an operator's name has 1 to 64 characters, and no control characters",
    PROSE,
    64,
    |text| trimmed(&text, 64)
);

impl Reason {
    /// The nearest reason to another system's word: `insufficient_funds` becomes
    /// `insufficient-funds`, and a word of which nothing is left becomes `unknown`.
    pub fn from_foreign(word: &str) -> Self {
        let slug: String = word
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .take(40)
            .collect();
        let slug = slug.trim_matches('-');
        Self(if slug.is_empty() { "unknown" } else { slug }.to_owned())
    }

    /// For the reasons that are written in this crate, which a test of each covers.
    pub(crate) fn known(slug: &'static str) -> Self {
        Self(slug.to_owned())
    }
}

fn within(text: &str, longest: usize, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}

fn trimmed(text: &str, longest: usize) -> Option<String> {
    let trimmed = text.trim();
    let fits =
        (1..=longest).contains(&trimmed.chars().count()) && !trimmed.chars().any(char::is_control);
    fits.then(|| trimmed.to_owned())
}
