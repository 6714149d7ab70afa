use super::{Epoch, resume};
use crate::{Metadata, Recorded};
use chrono::DateTime;
use uuid::Uuid;

fn last(epoch: i32, offset: i64) -> Recorded {
    Recorded {
        service: "shop".into(),
        partition: 0,
        epoch,
        offset,
        stream: "till-1".into(),
        version: 1,
        event_id: Uuid::nil(),
        command_id: Uuid::nil(),
        ordinal: 0,
        event_type: "till.filled".into(),
        schema_version: 1,
        payload: "{}".into(),
        metadata: Metadata::default(),
        occurred_at: DateTime::UNIX_EPOCH,
        recorded_at: DateTime::UNIX_EPOCH,
    }
}

fn epochs(of: &[(i32, i64)]) -> Vec<Epoch> {
    of.iter()
        .map(|(epoch, first_offset)| Epoch { epoch: *epoch, first_offset: *first_offset })
        .collect()
}

#[test]
fn a_lost_tail_is_relayed_again_from_where_the_newer_epoch_begins() {
    assert_eq!(resume(&last(1, 120), &epochs(&[(1, 0), (2, 100)])), Some(100));
    assert_eq!(resume(&last(1, 100), &epochs(&[(1, 0), (2, 100)])), Some(100));
}

#[test]
fn of_two_losses_the_earlier_beginning_counts() {
    assert_eq!(resume(&last(1, 120), &epochs(&[(1, 0), (2, 100), (3, 90)])), Some(90));
    assert_eq!(resume(&last(2, 120), &epochs(&[(1, 0), (2, 100), (3, 110)])), Some(110));
}

#[test]
fn a_record_that_no_epoch_explains_is_refused() {
    assert_eq!(resume(&last(1, 120), &epochs(&[(1, 0)])), None);
    assert_eq!(resume(&last(2, 120), &epochs(&[(1, 0), (2, 100)])), None);
    assert_eq!(resume(&last(1, 99), &epochs(&[(1, 0), (2, 100)])), None);
}
