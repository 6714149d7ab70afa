use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A place in a log: `orders/5@1:1234` is service, partition, epoch and offset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct Position {
    pub service: String,
    pub partition: i32,
    pub epoch: i32,
    pub offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no position; one looks like `orders/5@1:1234`")]
pub struct BadPosition(String);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}:{}", self.service, self.partition, self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let parse = || {
            let (service, rest) = text.split_once('/')?;
            let (partition, rest) = rest.split_once('@')?;
            let (epoch, offset) = rest.split_once(':')?;
            let position = Position {
                service: service.to_owned(),
                partition: partition.parse().ok()?,
                epoch: epoch.parse().ok()?,
                offset: offset.parse().ok()?,
            };
            let sane = !service.is_empty()
                && position.partition >= 0
                && position.epoch >= 1
                && position.offset >= 0;
            sane.then_some(position)
        };
        parse().ok_or_else(|| BadPosition(text.to_owned()))
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_as_it_was_written() {
        let text = "orders/5@1:1234";
        assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in
            ["", "orders", "orders/5", "orders/5@1", "/5@1:2", "o/-1@1:2", "o/1@0:2", "o/1@1:-2"]
        {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
