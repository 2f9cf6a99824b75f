//! What comes after a request on the same connection.

use tokio::io::AsyncReadExt;

use super::harness::*;

const BAD: &str = "GET /admin HTTP/1.1\r\nHost: app.example\r\nX: 1\n\r\n";
const ADMIN: &str = "GET /admin HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn smug_35_each_pipelined_request_is_judged_and_answered_in_order() {
    let edge = Edge::start().await;
    let many = GET.repeat(30) + ADMIN;
    assert_eq!(statuses(&edge.exchange(many).await), ["200"; 31]);
    assert_eq!(edge.upstream.requests(), 31);
}

#[tokio::test]
async fn smug_35_garbage_after_a_request_is_refused_and_the_request_is_not() {
    let edge = Edge::start().await;
    for first in [GET.to_owned(), GET.replace("GET /", "GET /slow"), GET.replace("GET /", "GET /local")] {
        let answers = edge.exchange(first + BAD).await;
        assert_eq!(statuses(&answers), ["200", "400"], "{answers}");
    }
    assert!(!edge.upstream.saw("/admin"));
    assert_eq!(edge.events.reasons(), ["bare_lf"; 3]);
}

#[tokio::test]
async fn smug_35_after_connection_close_nothing_is_read() {
    let edge = Edge::start().await;
    assert_eq!(statuses(&edge.exchange(GET_CLOSE.to_owned() + ADMIN).await), ["200"]);
    assert!(!edge.upstream.saw("/admin"));
}

#[tokio::test]
async fn smug_02_a_body_of_known_length_ends_there() {
    let edge = Edge::start().await;
    let post = |length: usize| format!("POST /slow HTTP/1.1\r\nHost: app.example\r\nContent-Length: {length}\r\n\r\n");
    let answers = edge.exchange(post(5) + "hello" + ADMIN).await;
    assert_eq!(statuses(&answers), ["200", "200"], "{answers}");
    assert!(answers.contains("ok 5 "));
    // The same bytes, inside the body, are no request.
    let mut client = edge.http1().await;
    client.send(post(ADMIN.len()) + ADMIN).await;
    assert!(client.until_answered().await.contains(&format!("ok {} ", ADMIN.len())));
    assert_eq!(edge.upstream.requests(), 3);
    let answers = edge.exchange(post(5) + "hello" + BAD).await;
    assert_eq!(statuses(&answers), ["200", "400"], "{answers}");
}

#[tokio::test]
async fn smug_06_after_a_chunked_body_nothing_passes_unjudged() {
    let edge = Edge::start().await;
    let post = "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let answers = edge.exchange(post.to_owned() + BAD).await;
    assert!(answers.is_empty() || answers.starts_with("HTTP/1.1 "), "{answers}");
    assert!(!edge.upstream.saw("/admin"));
    // Sent one after the other, both are answered.
    let mut client = edge.http1().await;
    client.send(post).await;
    assert!(client.until_answered().await.contains("ok "));
    client.send(ADMIN).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn smug_04_an_early_answer_does_not_turn_the_body_into_a_request() {
    let edge = Edge::start().await;
    let post = format!("POST /local HTTP/1.1\r\nHost: app.example\r\nContent-Length: {}\r\n\r\n", ADMIN.len());
    let answers = edge.exchange(post.clone() + ADMIN).await;
    assert_eq!(statuses(&answers), ["200"], "{answers}");
    // The body comes only after the answer.
    let mut client = edge.http1().await;
    client.send(post).await;
    let first = client.until_answered().await;
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    client.send(ADMIN).await;
    client.rest().await;
    assert_eq!(edge.upstream.bytes(), 0);
}

#[tokio::test]
async fn upg_01_bytes_after_an_upgrade_offer_are_not_forwarded() {
    let edge = Edge::start().await;
    let offer = "GET /slow HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    // The upstream answers 200: no upgrade happened.
    edge.exchange(offer.to_owned() + ADMIN).await;
    assert!(!edge.upstream.saw("/admin"));
    let mut client = edge.http1().await;
    client.send(offer).await;
    assert!(client.until_answered().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn upg_04_after_an_upgrade_everything_passes_both_ways() {
    let edge = Edge::start().await;
    let mut client = edge.http1().await;
    client.send("GET /ws HTTP/1.1\r\nHost: app.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert!(client.until_answered().await.starts_with("HTTP/1.1 101"));
    for frame in ["\u{1}\u{2}\0", "GET / HTTP/1.1\n\n"] {
        client.send(frame).await;
        let mut echo = vec![0; frame.len()];
        tokio::time::timeout(PATIENCE, client.0.read_exact(&mut echo)).await.unwrap().unwrap();
        assert_eq!(echo, frame.as_bytes());
    }
    assert!(edge.events.reasons().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request() {
    let edge = Edge::start().await;
    let mut client = edge.http1().await;
    client.send(GET.replace("GET /", "GET /stuck")).await;
    edge.until("the request arrived", |edge| edge.upstream.requests() == 1).await;
    drop(client);
    edge.until("the connection ended", |edge| edge.serving.connections() == 0).await;
    assert_eq!(edge.events.live(), 0);
}
