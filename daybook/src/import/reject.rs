//! What is not sent, or not taken, and why.

use std::io;

/// One line of the reject report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    /// The line of the file; of an order that was refused, its first.
    pub line: u64,
    pub invoice: String,
    /// The code as the file has it; empty where a whole order is meant.
    pub code: String,
    /// One of [`Reason::slug`], or the type of the problem with which Daybook refused.
    pub reason: String,
}

/// Why the rules keep a line out. The slug is what the report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    ReturnNotSupported,
    NotEightFields,
    NotUtf8,
    BadInvoice,
    BadQuantity,
    BadDate,
    BadPrice,
    ManualEntry,
    BankCharges,
    BadDebt,
    MarketplaceFee,
    Commission,
    Sample,
    GiftVoucher,
    UnknownCode,
    ZeroQuantity,
    QuantityTooLarge,
    NegativePrice,
    ChargeTooLarge,
    NoOrderLine,
}

impl Reason {
    pub(super) fn slug(self) -> &'static str {
        match self {
            Self::ReturnNotSupported => "return-not-supported",
            Self::NotEightFields => "not-eight-fields",
            Self::NotUtf8 => "not-utf-8",
            Self::BadInvoice => "bad-invoice",
            Self::BadQuantity => "bad-quantity",
            Self::BadDate => "bad-date",
            Self::BadPrice => "bad-price",
            Self::ManualEntry => "manual-entry",
            Self::BankCharges => "bank-charges",
            Self::BadDebt => "bad-debt",
            Self::MarketplaceFee => "marketplace-fee",
            Self::Commission => "commission",
            Self::Sample => "sample",
            Self::GiftVoucher => "gift-voucher",
            Self::UnknownCode => "unknown-code",
            Self::ZeroQuantity => "zero-quantity",
            Self::QuantityTooLarge => "quantity-too-large",
            Self::NegativePrice => "negative-price",
            Self::ChargeTooLarge => "charge-too-large",
            Self::NoOrderLine => "no-order-line",
        }
    }
}

/// Writes the report as CSV: line, invoice, code, reason.
pub(super) fn write<W: io::Write>(rejects: &[Reject], to: W) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(to);
    csv.write_record(["line", "invoice", "code", "reason"])?;
    for reject in rejects {
        let line = reject.line.to_string();
        csv.write_record([&line, &reject.invoice, &reject.code, &reject.reason])?;
    }
    csv.flush()
}
