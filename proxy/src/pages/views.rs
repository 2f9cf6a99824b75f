//! What each page is given. Texts come from [`super::words`]; what stands here is what differs from one answer to the next.
//! Templates see the fields under these names: docs/pages.md describes them.

use std::time::Duration;

use serde::Serialize;

use crate::respond::Face;

/// A refusal or a failure.
#[derive(Debug)]
pub struct ErrorPage<'p> {
    pub face: Face,
    pub request_id: &'p str,
    /// Where signing in begins: set when it would help.
    pub login_url: Option<&'p str>,
    pub prefix: &'p str,
    /// What is known beyond the face, by a key of `details` in the words, or by a name of its own.
    pub details: &'p [(&'p str, &'p str)],
}

/// Choosing whom to sign in with.
#[derive(Debug, Serialize)]
pub struct PickerPage<'p> {
    /// For which app, if one can be named.
    pub app: Option<&'p str>,
    pub choices: &'p [Choice<'p>],
    /// Asks for an e-mail address, whose domain chooses.
    pub email: Option<EmailForm<'p>>,
}

#[derive(Debug, Serialize)]
pub struct Choice<'p> {
    pub label: &'p str,
    pub url: &'p str,
}

/// A form that GETs `action` with `hidden` and `email`.
#[derive(Debug, Serialize)]
pub struct EmailForm<'p> {
    pub action: &'p str,
    pub hidden: &'p [(&'p str, &'p str)],
    /// What was typed before.
    pub typed: &'p str,
    /// Nobody signs in with what was typed.
    pub unknown: bool,
}

/// A 403 for somebody who is known.
#[derive(Debug, Serialize)]
pub struct DeniedPage<'p> {
    #[serde(skip)]
    pub face: Face,
    pub who: Option<Who<'p>>,
    /// Only where denials may be explained.
    pub explained: Option<Explained>,
    pub request_id: &'p str,
    /// Begins a sign-in at which the provider asks which account it is to be.
    pub other_account_url: Option<&'p str>,
    #[serde(skip)]
    pub prefix: &'p str,
}

#[derive(Debug, Serialize)]
pub struct Who<'p> {
    pub name: Option<&'p str>,
    pub email: Option<&'p str>,
    pub user: Option<&'p str>,
}

/// Why somebody may not pass.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// The rule, as it is written.
    pub rule: String,
    pub missing: Vec<Missing>,
}

/// One thing that is missing.
#[derive(Debug, Serialize)]
pub struct Missing {
    pub what: What,
    pub names: Vec<String>,
}

/// What can be missing; each is a key of `denied` in the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Role,
    /// One of the names is enough.
    AnyRole,
    Permission,
    Scope,
    Claim,
    EmailDomain,
    /// The rule's `when`.
    Expression,
}

/// A sign-in that begins again and again.
#[derive(Debug, Serialize)]
pub struct LoopPage<'p> {
    /// The most likely first.
    pub causes: &'p [LoopCause],
    pub login_url: Option<&'p str>,
    pub request_id: &'p str,
}

/// Why a browser comes back without a session; each is a key of `loop` in the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoopCause {
    /// The browser does not keep our cookies, or comes by http or another name.
    CookieNotReturned,
    /// Sealed with keys that this machine does not have.
    CookieUnreadable,
    /// Sessions are over as soon as they begin.
    Clock,
    /// The browser dropped a cookie of more than 4 KiB.
    SessionTooLarge,
    /// Routes of one host send to different providers.
    TwoProviders,
    /// What is signed in is revoked.
    Revoked,
}

impl LoopCause {
    pub const ALL: &'static [Self] =
        &[Self::CookieNotReturned, Self::CookieUnreadable, Self::Clock, Self::SessionTooLarge, Self::TwoProviders, Self::Revoked];
}

/// Asks before signing out.
#[derive(Debug, Serialize)]
pub struct SignOutPage<'p> {
    /// Where the form posts to.
    pub action: &'p str,
    /// Where the form posts to that ends all sessions of the person; `None` where that is not offered.
    pub everywhere: Option<&'p str>,
    /// Name or address of whoever is signed in.
    pub who: Option<&'p str>,
    pub stay_url: &'p str,
}

/// The end of a session.
#[derive(Debug, Serialize)]
pub struct SignedOutPage<'p> {
    /// The session at the provider has ended too, or there was none.
    pub at_provider: bool,
    pub everywhere: bool,
    pub back_url: &'p str,
}

/// Who one is, and since when.
#[derive(Debug, Serialize)]
pub struct WhoamiPage {
    pub name: Option<String>,
    pub user: Option<String>,
    pub email: Option<String>,
    /// What the provider is called on pages.
    pub provider: String,
    pub profile: Vec<ProfileEntry>,
    pub roles: Vec<String>,
    pub permissions: Vec<String>,
    pub attributes: Vec<ShownAttribute>,
    /// How long ago the session began.
    #[serde(skip)]
    pub began: Duration,
    /// How long it lasts, if nothing renews it.
    #[serde(skip)]
    pub ends: Duration,
    #[serde(skip)]
    pub prefix: String,
    /// All sessions of the person can be ended.
    #[serde(skip)]
    pub everywhere: bool,
}

/// A field of somebody's profile.
#[derive(Debug, Serialize)]
pub struct ProfileEntry {
    /// A key of `whoami` in the words.
    pub what: &'static str,
    pub text: String,
}

/// An attribute that somebody has.
#[derive(Debug, Serialize)]
pub struct ShownAttribute {
    pub label: String,
    /// One text, or the elements of a list.
    pub values: Vec<String>,
}

/// A form that was kept while somebody signed in again. It is sent on a click, never by itself.
#[derive(Debug, Serialize)]
pub struct ResumePage<'p> {
    /// The app's path, with its query.
    pub action: &'p str,
    /// Names and values; the page shows the names.
    pub fields: &'p [(String, String)],
    pub discard_url: &'p str,
}

/// A page that takes the `#fragment` along to the sign-in.
#[derive(Debug, Serialize)]
pub struct FragmentPage<'p> {
    /// Ends with the value of `return_to`: the script appends to it.
    pub login_url: &'p str,
}

/// The answer to a form whose session had ended, and which is kept.
#[derive(Debug, Serialize)]
pub struct SessionEndedFormPage<'p> {
    pub login_url: &'p str,
    pub request_id: &'p str,
}
