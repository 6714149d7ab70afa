//! The file as text: one [`Row`] per line, nothing interpreted yet.

use std::io;

use csv::{ByteRecord, ReaderBuilder, Trim};

use super::reject::Reason;

/// The columns of the *Online Retail* data set, in its order.
pub(super) const HEADER: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// One line of the file, its fields trimmed.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Where the line stands in the file; the header is line 1.
    pub(super) line: u64,
    pub(super) invoice: String,
    pub(super) code: String,
    pub(super) description: String,
    pub(super) quantity: String,
    pub(super) date: String,
    pub(super) price: String,
    pub(super) customer: String,
    pub(super) country: String,
    /// Why the fields cannot be trusted: too few, too many, or no UTF-8.
    pub(super) damage: Option<Reason>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the file cannot be read")]
    Io(#[source] io::Error),
    #[error("the first line should be `{}`, but is `{found}`", HEADER.join(","))]
    Header { found: String },
}

/// Reads the header, then gives the lines one by one.
pub(super) fn rows<R: io::Read>(
    file: R,
) -> Result<impl Iterator<Item = Result<Row, ReadError>>, ReadError> {
    let mut csv =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(file);
    let mut header = ByteRecord::new();
    csv.read_byte_record(&mut header).map_err(io_error)?;
    if !header.iter().eq(HEADER.iter().map(|name| name.as_bytes())) {
        let found: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
        return Err(ReadError::Header { found: found.join(",") });
    }
    Ok(csv.into_byte_records().map(|record| record.map(|r| row(&r)).map_err(io_error)))
}

fn row(record: &ByteRecord) -> Row {
    let field = |at| String::from_utf8_lossy(record.get(at).unwrap_or_default()).into_owned();
    let damage = if record.len() != HEADER.len() {
        Some(Reason::NotEightFields)
    } else if record.iter().any(|field| str::from_utf8(field).is_err()) {
        Some(Reason::NotUtf8)
    } else {
        None
    };
    Row {
        line: record.position().map_or(0, csv::Position::line),
        invoice: field(0),
        code: field(1),
        description: field(2),
        quantity: field(3),
        date: field(4),
        price: field(5),
        customer: field(6),
        country: field(7),
        damage,
    }
}

/// Byte records of any length leave the csv crate nothing to complain of but the file itself.
fn io_error(error: csv::Error) -> ReadError {
    ReadError::Io(error.into())
}
