//! Who tells the gateway where names lead: each of them to every one of some addresses, as the name of a service does
//! whose containers are several.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::UdpSocket;

/// Answers for as long as the test goes on.
pub(crate) async fn lead_to(hosts: &'static [Ipv4Addr]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut asked = [0; 512];
        while let Ok((size, from)) = socket.recv_from(&mut asked).await {
            socket.send_to(&answer(&asked[..size], hosts), from).await.unwrap();
        }
    });
    address
}

/// RFC 1035, 4: the question again, and the addresses if it is those of IPv4 that are asked for.
fn answer(asked: &[u8], hosts: &[Ipv4Addr]) -> Vec<u8> {
    const HEADER: u8 = 12;
    let question = &asked[usize::from(HEADER)..];
    // The name ends with a label of nothing; two bytes each say of which type and class.
    let end = question.iter().position(|it| *it == 0).unwrap() + 5;
    let question = &question[..end];
    let hosts = if question[end - 4..] == [0, 1, 0, 1] { hosts } else { &[] };
    let count = u8::try_from(hosts.len()).unwrap();
    let mut answer = asked[..2].to_vec();
    // It is an answer, and there was no error; one question, so many answers, and nothing else.
    answer.extend([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(question);
    for host in hosts {
        // Of the name in the question: an address of four bytes, good for a second.
        answer.extend([0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(host.octets());
    }
    answer
}
