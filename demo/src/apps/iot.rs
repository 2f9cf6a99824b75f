//! The device dashboard: live values for everybody who may read, restarts for `device:admin`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};

use super::devices::Devices;
use super::panel::{Frame, framed};
use super::visitor::Visitor;
use crate::server::Stopping;

#[derive(Debug, Clone)]
struct Dashboard {
    devices: Arc<Devices>,
    stopping: Stopping,
}

pub(super) fn routes(stopping: Stopping) -> Router {
    Router::new()
        .route("/", get(show))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/live.js", get(script))
        .route("/events", get(events))
        .route("/ws", any(socket))
        .route("/devices/{id}/restart", post(restart_from_page))
        .route("/api/devices", get(list))
        .route("/api/devices/{id}", get(read))
        .route("/api/devices/{id}/restart", post(restart))
        .with_state(Dashboard { devices: Arc::new(Devices::of_the_plant()), stopping })
}

async fn show(State(dashboard): State<Dashboard>, headers: HeaderMap) -> Response {
    let values = json!({ "devices": dashboard.devices.readings(), "may_restart": may_restart(&headers) });
    framed(FRAME, "iot.html", &headers, values)
}

async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../../templates/live.js")).into_response()
}

/// All readings, now and then every second.
async fn events(State(dashboard): State<Dashboard>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stopping = dashboard.stopping.clone();
    let readings = stream::unfold((true, dashboard.devices), |(first, devices)| async move {
        if !first {
            tokio::time::sleep(TICK).await;
        }
        let text = readings_json(&devices);
        Some((Ok(Event::default().data(text)), (false, devices)))
    });
    // Without an end, a stop would wait for every open dashboard.
    Sse::new(readings.take_until(stopping.wait())).keep_alive(KeepAlive::default())
}

async fn socket(State(dashboard): State<Dashboard>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(64 * 1024).on_upgrade(move |socket| telemetry(socket, dashboard))
}

/// Echoes text and binary messages, and sends all readings every second.
async fn telemetry(mut socket: WebSocket, dashboard: Dashboard) {
    let mut tick = tokio::time::interval(TICK);
    let stopping = dashboard.stopping.clone().wait();
    tokio::pin!(stopping);
    loop {
        let message = tokio::select! {
            () = &mut stopping => break,
            _ = tick.tick() => Message::Text(readings_json(&dashboard.devices).into()),
            heard = socket.recv() => match heard {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => message,
                // The library answers pings by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
    let _ = socket.send(Message::Close(None)).await;
}

async fn restart_from_page(State(dashboard): State<Dashboard>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !may_restart(&headers) {
        return (StatusCode::FORBIDDEN, "This app wants the permission `device:admin`.\n").into_response();
    }
    match dashboard.devices.restart(&id) {
        Some(_) => Redirect::to("/").into_response(),
        None => (StatusCode::NOT_FOUND, "No such device.\n").into_response(),
    }
}

async fn list(State(dashboard): State<Dashboard>) -> Json<Value> {
    Json(json!({ "devices": dashboard.devices.readings() }))
}

async fn read(State(dashboard): State<Dashboard>, Path(id): Path<String>) -> Response {
    dashboard.devices.reading(&id).map_or_else(no_such_device, |reading| Json(reading).into_response())
}

/// For programs: who gets here was decided by Doorward, by the scope of their token.
async fn restart(State(dashboard): State<Dashboard>, Path(id): Path<String>) -> Response {
    dashboard.devices.restart(&id).map_or_else(no_such_device, |reading| Json(reading).into_response())
}

fn no_such_device() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": "no_such_device" }))).into_response()
}

fn readings_json(devices: &Devices) -> String {
    serde_json::to_string(&devices.readings()).unwrap_or_default()
}

fn may_restart(headers: &HeaderMap) -> bool {
    Visitor::of(headers).is_some_and(|visitor| visitor.may("device:admin"))
}

const FRAME: Frame = Frame { name: "Acme Devices", links: &[("/", "Dashboard")], sign_in: "/" };

const TICK: Duration = Duration::from_secs(1);
