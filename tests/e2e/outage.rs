//! The provider goes away (`SECURITY.md` B.6): nothing that does not need it stops.

use std::time::Duration;

use doorward_tests::idp::{AUDIENCE, Idp};
use doorward_tests::ports::free_port;
use reqwest::StatusCode;
use url::Url;

use crate::client::{self, Browser};
use crate::edge::Ports;
use crate::world::{CALLBACK, World, origins};

fn is_callback(url: &Url) -> bool {
    url.path() == "/_doorward/callback/auth0"
}

#[tokio::test]
async fn jwks_06_while_the_provider_is_away_sign_in_is_503_and_everyone_else_goes_on() {
    let mut world = World::start().await;
    let mut ada = Browser::new(&world);
    ada.open_as("ada", &world.cms("/articles")).await;
    let bearer = world.idp.machine_token(AUDIENCE, "device:read").await;
    let call = async |world: &World| client::send(world.client.get(world.api("/api/devices")).bearer_auth(&bearer)).await.status();
    assert_eq!(call(&world).await, StatusCode::OK);
    let mut eddie = Browser::new(&world);
    let start = eddie.navigate(&world.cms("/articles")).await;
    let granted = eddie.follow_until("eddie", start, is_callback).await;

    world.idp.stop().await;
    let page = eddie.navigate(granted.location().as_str()).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{page:?}");
    assert!(page.is_html() && !page.sets_cookie("__Host-doorward="), "{page:?}");
    assert_eq!(Browser::new(&world).navigate(&world.cms("/")).await.status, StatusCode::OK, "public pages");
    assert_eq!(ada.navigate(&world.cms("/articles")).await.status, StatusCode::OK, "sessions");
    assert_eq!(call(&world).await, StatusCode::OK, "tokens whose key is known");
    world.edge.until_answers("/readyz", Duration::from_secs(1)).await;

    // It comes back with other keys and no memory, as after a disaster.
    world.restart_idp().await;
    let page = eventually_signed_in(&world, "eddie").await;
    assert_eq!(page, StatusCode::OK);
    world.end().await;
}

#[tokio::test]
async fn an_edge_that_starts_before_its_provider_serves_public_pages_and_signs_in_later() {
    let ports = Ports::reserve();
    let mut idp = Idp::start(free_port(), &origins(ports), CALLBACK).await;
    idp.stop().await;
    let mut world = World::around(idp, ports).await;

    let mut browser = Browser::new(&world);
    assert_eq!(browser.navigate(&world.cms("/")).await.status, StatusCode::OK);
    let page = browser.navigate(&world.cms("/articles")).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{page:?}");
    assert!(page.is_html(), "{page:?}");
    let script = browser.fetch(&world.cms("/articles")).await;
    assert!(script.status.is_client_error() || script.status == StatusCode::SERVICE_UNAVAILABLE, "{script:?}");

    world.restart_idp().await;
    assert_eq!(eventually_signed_in(&world, "ada").await, StatusCode::OK);
    world.end().await;
}

/// The edge may wait a little before it asks its provider again.
async fn eventually_signed_in(world: &World, nickname: &str) -> StatusCode {
    let mut status = StatusCode::IM_A_TEAPOT;
    for _ in 0..60 {
        status = Browser::new(world).open_as(nickname, &world.cms("/articles")).await.status;
        if status == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    status
}
