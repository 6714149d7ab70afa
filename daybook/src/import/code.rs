//! What a stock code says a line is.

use super::reject::Reason;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Five digits and optional letters, upper-cased: `85123a` is `85123A`.
    Product(String),
    Shipping,
    Discount,
    Other(Reason),
}

impl Code {
    pub(super) fn of(text: &str) -> Self {
        let text = text.to_ascii_uppercase();
        if is_product(&text) {
            return Self::Product(text);
        }
        match text.as_str() {
            "POST" | "DOT" | "C2" => Self::Shipping,
            "D" => Self::Discount,
            "M" => Self::Other(Reason::ManualEntry),
            "BANK CHARGES" => Self::Other(Reason::BankCharges),
            "B" => Self::Other(Reason::BadDebt),
            "AMAZONFEE" => Self::Other(Reason::MarketplaceFee),
            "CRUK" => Self::Other(Reason::Commission),
            "S" => Self::Other(Reason::Sample),
            gift if gift.starts_with("GIFT_") => Self::Other(Reason::GiftVoucher),
            _ => Self::Other(Reason::UnknownCode),
        }
    }
}

/// At most what a SKU may be long.
const LONGEST: usize = 64;

fn is_product(code: &str) -> bool {
    let code = code.as_bytes();
    (5..=LONGEST).contains(&code.len())
        && code[..5].iter().all(u8::is_ascii_digit)
        && code[5..].iter().all(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_code_is_five_digits_and_optional_letters_upper_cased() {
        assert_eq!(Code::of("71053"), Code::Product("71053".into()));
        assert_eq!(Code::of("85123a"), Code::Product("85123A".into()));
        assert_eq!(Code::of("15056bl"), Code::Product("15056BL".into()));
        for text in ["7105", "710533", "7105A3", "A71053", "71053-A", "7105３", ""] {
            assert_eq!(Code::of(text), Code::Other(Reason::UnknownCode), "{text}");
        }
    }

    #[test]
    fn post_dot_and_c2_are_shipping_and_d_is_a_discount() {
        for text in ["POST", "DOT", "C2"] {
            assert_eq!(Code::of(text), Code::Shipping);
        }
        assert_eq!(Code::of("D"), Code::Discount);
    }

    #[test]
    fn every_other_code_has_its_reason() {
        assert_eq!(Code::of("M"), Code::Other(Reason::ManualEntry));
        assert_eq!(Code::of("m"), Code::Other(Reason::ManualEntry));
        assert_eq!(Code::of("BANK CHARGES"), Code::Other(Reason::BankCharges));
        assert_eq!(Code::of("gift_0001_20"), Code::Other(Reason::GiftVoucher));
        assert_eq!(Code::of("PADS"), Code::Other(Reason::UnknownCode));
    }
}
