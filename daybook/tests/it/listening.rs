//! Whoever listens to events and does not take them.

use crate::shop::{batch, eventually};
use crate::support::{Daybook, LIMIT, World, binary, free_port};
use event_store::partition_of;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// In place of `stalled_connection_s`.
const BOUND_S: &str = "2";
/// Commands that are sent at once, all of one partition.
const MANY: i64 = 800;
const PARTITION: i32 = 0;

/// Server-sent events of a log, as a caller reads them who takes what he likes.
struct Listening {
    connection: TcpStream,
    /// What has come of the body, without the chunks that it came in.
    chunks: Vec<u8>,
    text: String,
}

impl Listening {
    /// `window` bounds what waits for him on this side.
    async fn to(daybook: &Daybook, path: &str, last: Option<i64>, window: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(window).unwrap();
        let address = daybook.url.trim_start_matches("http://").parse().unwrap();
        let mut connection = socket.connect(address).await.unwrap();
        let last = last.map(|last| format!("last-event-id: 1:{last}\r\n")).unwrap_or_default();
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: here\r\naccept: text/event-stream\r\n{last}\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        Listening { connection, chunks: Vec::new(), text: String::new() }
    }

    /// The id of the next event; none if the connection has ended before it came.
    async fn next(&mut self) -> Option<i64> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let id = event.lines().find_map(|line| line.strip_prefix("id:"));
                let id = id.map(|id| id.trim().strip_prefix("1:").unwrap().parse().unwrap());
                self.text = rest.to_owned();
                match id {
                    Some(id) => return Some(id),
                    // A sign of life.
                    None => continue,
                }
            }
            let mut some = [0; 16_384];
            let read = timeout(LIMIT, self.connection.read(&mut some)).await.expect("it goes on");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.chunks.extend_from_slice(&some[..read]),
            }
            self.unchunk();
        }
    }

    /// Takes whole chunks out of what has come.
    fn unchunk(&mut self) {
        while let Some(end) = self.chunks.windows(2).position(|it| it == b"\r\n") {
            let size = std::str::from_utf8(&self.chunks[..end]).unwrap();
            let (from, size) = (end + 2, usize::from_str_radix(size, 16).unwrap());
            if self.chunks.len() < from + size + 2 {
                return;
            }
            self.text += std::str::from_utf8(&self.chunks[from..from + size]).unwrap();
            self.chunks.drain(..from + size + 2);
        }
    }
}

/// Adds events to the partition, of several streams.
async fn receive(daybook: &Daybook, events: i64) {
    let skus = (0..).map(|number| format!("SKU{number}"));
    let skus = skus.filter(|sku| partition_of(&format!("stock-{sku}"), 8) == PARTITION);
    let skus: Vec<_> = skus.take(16).collect();
    let commands = skus.iter().cycle().take(usize::try_from(events).unwrap());
    let received = |sku: &String| (format!("/v1/stock/{sku}/receive"), json!({"quantity": 1}));
    batch(daybook, commands.map(received)).await;
}

#[tokio::test]
async fn who_listens_and_takes_nothing_is_cut_off_and_goes_on_later_where_he_was() {
    let world = World::new().await.without_kafka();
    let (mut command, port) = (binary(), free_port());
    command.env("DAYBOOK_STALLED_CONNECTION_S", BOUND_S);
    let daybook = world.spawn(command, port);
    daybook.is_ready().await;
    let path = format!("/v1/log/inventory/{PARTITION}");
    receive(&daybook, 10).await;

    let mut slow = Listening::to(&daybook, &path, None, 4_096).await;
    for offset in 0..10 {
        assert_eq!(slow.next().await, Some(offset));
    }
    // From now on he takes nothing, and events come until nobody waits for him any more.
    let mut keen = Listening::to(&daybook, &path, Some(9), 1 << 20).await;
    let stalled = async || daybook.metric("http_connections_stalled_total").await.unwrap_or(0.0);
    assert_eq!(stalled().await, 0.0);
    let mut appended = 10;
    eventually("he is cut off", async || {
        receive(&daybook, MANY).await;
        for offset in appended..appended + MANY {
            assert_eq!(keen.next().await, Some(offset), "who takes them is told all of them");
        }
        appended += MANY;
        let stalled = stalled().await;
        if stalled > 0.0 { Ok(()) } else { Err(format!("after {appended} events")) }
    })
    .await;
    assert_eq!(stalled().await, 1.0, "nobody else is");

    // What was on its way to him comes, without a hole, and then nothing more.
    let mut last = 9;
    while let Some(offset) = slow.next().await {
        assert_eq!(offset, last + 1);
        last = offset;
    }
    assert!(last < appended - 1, "he missed some: {last} of {appended}");
    let mut again = Listening::to(&daybook, &path, Some(last), 1 << 20).await;
    for offset in last + 1..appended {
        assert_eq!(again.next().await, Some(offset), "none is left out");
    }
    daybook.stop().await;
}
