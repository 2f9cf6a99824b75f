//! Where one message ends and the next begins: nothing that two programs could see differently goes on.

mod pipelining;
mod requests;
mod responses;
mod upgrades;

use doorward_tests::client::Browser;

/// The `Cookie` field of a browser.
fn cookie_of(browser: &Browser) -> String {
    browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}
