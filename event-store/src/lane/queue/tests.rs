use super::*;
use crate::Entry;
use proptest::prelude::*;
use tokio::sync::oneshot::error::TryRecvError;
use uuid::Uuid;

const PARTITIONS: u32 = 4;

type Answer = oneshot::Receiver<Result<ChainOutcome, AppendError>>;

fn queue(few: usize) -> (Queue, CancellationToken) {
    let stop = CancellationToken::new();
    let limits = QueueLimits { lanes: 2, waiting: 100, few, batch: 10, batch_bytes: 1_000_000 };
    (Queue::new(limits, PARTITIONS, stop.clone()), stop)
}

fn job(partition: i32, stream: &str, number: u128) -> (Job, Answer) {
    let entry = Entry { command_id: Uuid::from_u128(number), events: Vec::new() };
    let chain = Chain { stream: stream.to_owned(), expected: 0, entries: vec![entry] };
    let (answer, receive) = oneshot::channel();
    (Job { partition, epoch: None, chain, answer }, receive)
}

/// One job of a stream of its own in each partition.
fn push_everywhere(queue: &Queue) -> Vec<Answer> {
    let push = |partition| {
        let (job, answer) = job(partition, &format!("a-{partition}"), 1);
        queue.push(job).unwrap();
        answer
    };
    (0..4).map(push).collect()
}

fn partitions(batch: &[Job]) -> Vec<i32> {
    batch.iter().map(|job| job.partition).collect()
}

/// What a lane gets now, if there is anything for it.
fn now(share: &mut Share) -> Vec<Job> {
    share.take().0
}

#[tokio::test]
async fn what_is_little_is_the_first_lanes_alone() {
    let (queue, _stop) = queue(8);
    let _answers = push_everywhere(&queue);
    let (mut first, mut second) = (queue.of_lane(0), queue.of_lane(1));
    assert!(now(&mut second).is_empty());
    assert_eq!(partitions(&first.next_batch().await.unwrap()), [0, 1, 2, 3]);
}

#[tokio::test]
async fn of_more_each_lane_takes_its_share_and_nothing_that_another_has_under_way() {
    let (queue, _stop) = queue(4);
    let _answers = (push_everywhere(&queue), push_everywhere(&queue));
    let (mut first, mut second) = (queue.of_lane(0), queue.of_lane(1));
    assert_eq!(partitions(&first.next_batch().await.unwrap()), [0, 2]);
    assert_eq!(partitions(&second.next_batch().await.unwrap()), [1, 3]);
    // Second chains of the same streams wait for the first.
    assert!(now(&mut first).is_empty());
    second.done();
    // What is left is little, and the partitions are free: but two of them only when the first lane is done.
    assert!(now(&mut second).is_empty());
    assert_eq!(partitions(&now(&mut first)), [1, 3]);
    first.done();
    assert_eq!(partitions(&first.next_batch().await.unwrap()), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_lane_holds_up_its_partitions_only_and_at_last_refuses_what_waits_there() {
    for few in [0, 100] {
        let (queue, _stop) = queue(few);
        let (mut first, mut second) = (queue.of_lane(0), queue.of_lane(1));
        queue.push(job(0, "before", 1).0).unwrap();
        let _under_way = first.next_batch().await.unwrap();
        let mut answers = push_everywhere(&queue);
        let patience = Duration::from_secs(5);
        let mut rest = Vec::new();
        let others = async {
            while rest.len() < 3 {
                rest.extend(partitions(&second.next_batch().await.unwrap()));
                second.done();
            }
            tokio::time::sleep(2 * patience).await;
        };
        tokio::select! {
            never = first.turn_away(patience) => match never {},
            () = others => {}
        }
        rest.sort_unstable();
        assert_eq!(rest, [1, 2, 3]);
        for (partition, answer) in answers.iter_mut().enumerate() {
            let refused = matches!(answer.try_recv(), Ok(Err(AppendError::Away(_))));
            assert_eq!(refused, partition == 0, "partition {partition}");
        }
    }
}

#[tokio::test]
async fn what_is_queued_when_it_ends_is_taken_and_nothing_else() {
    let (queue, stop) = queue(2);
    let (mut first, mut second) = (queue.of_lane(0), queue.of_lane(1));
    let _answers = push_everywhere(&queue);
    stop.cancel();
    assert!(matches!(queue.push(job(0, "late", 1).0), Err(AppendError::Closed)));
    let mut taken = 0;
    // Neither ends before all is taken, whichever of them is asked.
    while let Some(batch) = first.next_batch().await {
        taken += batch.len();
        let others = second.next_batch().await.unwrap_or_default();
        taken += others.len();
        second.done();
        first.done();
    }
    assert!(second.next_batch().await.is_none());
    assert_eq!(taken, 4);
}

#[tokio::test]
async fn more_than_may_wait_is_refused() {
    let (queue, _stop) = queue(8);
    for number in 0..100 {
        queue.push(job(0, &format!("a-{number}"), number).0).unwrap();
    }
    assert!(matches!(queue.push(job(1, "b", 1).0), Err(AppendError::Full)));
    assert_eq!(queue.len(), 100);
    let mut first = queue.of_lane(0);
    assert_eq!(first.next_batch().await.unwrap().len(), 10);
    assert_eq!(queue.len(), 90);
}

#[tokio::test]
async fn a_lane_that_does_not_end_in_order_leaves_nobody_without_an_answer() {
    let (queue, _stop) = queue(0);
    let (mut answers, mut first) = (push_everywhere(&queue), queue.of_lane(0));
    let under_way = first.next_batch().await.unwrap();
    drop((first, under_way));
    assert!(matches!(queue.push(job(0, "late", 1).0), Err(AppendError::Closed)));
    assert!(answers.iter_mut().all(|it| matches!(it.try_recv(), Err(TryRecvError::Closed))));
    assert!(queue.of_lane(1).next_batch().await.is_none());
}

#[derive(Clone, Debug)]
enum Act {
    Push { partition: i32, stream: u8 },
    Take(usize),
    Done(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0..4, 0..3u8).prop_map(|(partition, stream)| Act::Push { partition, stream }),
        1 => (0..2usize).prop_map(Act::Take),
        1 => (0..2usize).prop_map(Act::Done),
    ];
    proptest::collection::vec(act, 0..200)
}

proptest! {
    /// Whatever lanes do and in which order: each chain is taken once, chains of a stream in their order, a stream by
    /// one lane at a time, and once all lanes are done nothing is left behind.
    #[test]
    fn chains_of_a_stream_are_taken_in_their_order_and_all_of_them(acts in acts(), few in 0..20usize) {
        let (queue, _stop) = queue(few);
        let mut lanes = [queue.of_lane(0), queue.of_lane(1)];
        let mut under_way = [Vec::new(), Vec::new()];
        let (mut pushed, mut taken, mut answers) = (0, Vec::new(), Vec::new());
        let rest = (0..100).flat_map(|_| [Act::Done(0), Act::Take(0), Act::Done(1), Act::Take(1)]);
        for act in acts.into_iter().chain(rest) {
            match act {
                Act::Push { partition, stream } => {
                    let (job, answer) = job(partition, &format!("{partition}-{stream}"), pushed);
                    if queue.push(job).is_ok() {
                        pushed += 1;
                        answers.push(answer);
                    }
                }
                Act::Take(lane) if under_way[lane].is_empty() => {
                    let batch = now(&mut lanes[lane]);
                    let streams: Vec<_> = batch.iter().map(|job| job.chain.stream.clone()).collect();
                    prop_assert!(streams.iter().all(|it| !under_way[1 - lane].contains(it)));
                    prop_assert_eq!(streams.iter().collect::<HashSet<_>>().len(), streams.len());
                    under_way[lane] = streams;
                    taken.extend(batch);
                }
                Act::Take(_) => {}
                Act::Done(lane) => {
                    lanes[lane].done();
                    under_way[lane].clear();
                }
            }
        }
        prop_assert_eq!((taken.len() as u128, queue.len()), (pushed, 0));
        let mut last = std::collections::HashMap::new();
        for job in taken {
            let number = job.chain.entries[0].command_id.as_u128();
            let before = last.insert(job.chain.stream.clone(), number);
            prop_assert!(before < Some(number), "{}: {number} after {before:?}", job.chain.stream);
        }
    }
}
