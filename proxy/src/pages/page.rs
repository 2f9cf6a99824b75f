//! One page, ready to be written: its template, its status and its values.

use std::collections::HashSet;

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::views::{
    DeniedPage, ErrorPage, FragmentPage, LoopPage, PickerPage, ResumePage, SessionEndedFormPage, SignOutPage, SignedOutPage, WhoamiPage,
};
use super::words::Words;

/// Every page there is.
#[derive(Debug, Clone, Copy)]
pub enum Page<'p> {
    Error(&'p ErrorPage<'p>),
    Picker(&'p PickerPage<'p>),
    Denied(&'p DeniedPage<'p>),
    Loop(&'p LoopPage<'p>),
    SignOut(&'p SignOutPage<'p>),
    SignedOut(&'p SignedOutPage<'p>),
    Whoami(&'p WhoamiPage),
    Resume(&'p ResumePage<'p>),
    Fragment(&'p FragmentPage<'p>),
    SessionEndedForm(&'p SessionEndedFormPage<'p>),
}

impl Page<'_> {
    /// The file it is made from.
    pub fn template(self) -> &'static str {
        match self {
            Self::Error(_) => "error.html",
            Self::Picker(_) => "picker.html",
            Self::Denied(_) => "denied.html",
            Self::Loop(_) => "loop.html",
            Self::SignOut(_) => "sign_out.html",
            Self::SignedOut(_) => "signed_out.html",
            Self::Whoami(_) => "whoami.html",
            Self::Resume(_) => "resume.html",
            Self::Fragment(_) => "fragment.html",
            Self::SessionEndedForm(_) => "session_ended_form.html",
        }
    }

    pub fn status(self) -> u16 {
        match self {
            Self::Error(page) => page.face.status,
            Self::Denied(page) => page.face.status,
            Self::Loop(_) => 400,
            Self::Picker(_) | Self::SignOut(_) | Self::SignedOut(_) | Self::Whoami(_) | Self::Resume(_) => 200,
            // Both stand in the place of an app's answer: a proxy that asks us must not take them for a yes.
            Self::Fragment(_) | Self::SessionEndedForm(_) => 401,
        }
    }

    /// Whether a form of ours on it is posted.
    pub fn has_form(self) -> bool {
        match self {
            Self::SignOut(_) | Self::Whoami(_) | Self::Resume(_) => true,
            Self::Denied(page) => page.who.is_some(),
            Self::Error(_) | Self::Picker(_) | Self::Loop(_) | Self::SignedOut(_) | Self::Fragment(_) | Self::SessionEndedForm(_) => false,
        }
    }

    /// What the template is given besides `words`, `language`, `style` and `script`. Every name is always there: a
    /// template may ask for it without asking first whether it is.
    pub(super) fn values(self, words: &Words) -> Value {
        let title = |section| words.text(section, "title").to_owned();
        match self {
            Self::Error(page) => {
                let (title, text) = words.face(page.face);
                let details = page.details.iter().map(|(name, text)| context! { name => detail(words, name), text => *text });
                context! {
                    title, text,
                    status => page.face.status,
                    details => details.collect::<Vec<_>>(),
                    request_id => page.request_id,
                    login_url => page.login_url,
                    whoami_url => (page.face.status == 403).then(|| format!("{}/whoami", page.prefix)),
                }
            }
            Self::Denied(page) => {
                let (title, text) = words.face(page.face);
                context! {
                    title, text,
                    status => page.face.status,
                    whoami_url => format!("{}/whoami", page.prefix),
                    sign_out_url => format!("{}/logout", page.prefix),
                    ..Value::from(Serde(page))
                }
            }
            Self::Picker(page) => context! { title => title("picker"), status => (), request_id => (), ..Value::from(Serde(page)) },
            Self::Loop(page) => context! { title => title("loop"), status => 400, ..Value::from(Serde(page)) },
            Self::SignOut(page) => context! { title => title("sign_out"), status => (), request_id => (), ..Value::from(Serde(page)) },
            Self::SignedOut(page) => context! { title => title("signed_out"), status => (), request_id => (), ..Value::from(Serde(page)) },
            Self::Whoami(page) => context! {
                title => title("whoami"),
                began => words.ago(page.began),
                ends => words.within(page.ends),
                sign_out_url => format!("{}/logout", page.prefix),
                everywhere_url => page.everywhere.then(|| format!("{}/logout?everywhere=1", page.prefix)),
                status => (),
                request_id => (),
                ..Value::from(Serde(page))
            },
            Self::Resume(page) => {
                let mut names: Vec<&str> = page.fields.iter().map(|(name, _)| name.as_str()).filter(|name| !name.is_empty()).collect();
                let mut seen = HashSet::new();
                names.retain(|name| seen.insert(*name));
                let names = Value::from(Serde(&names));
                context! { title => title("resume"), names, status => (), request_id => (), ..Value::from(Serde(page)) }
            }
            Self::Fragment(page) => context! { title => title("fragment"), status => (), request_id => (), ..Value::from(Serde(page)) },
            Self::SessionEndedForm(page) => {
                context! { title => title("session_ended_form"), status => 401, ..Value::from(Serde(page)) }
            }
        }
    }
}

/// What a detail is called: a key of the words, or a name of its own.
fn detail<'w>(words: &'w Words, name: &'w str) -> &'w str {
    match words.text("details", name) {
        "" => name,
        text => text,
    }
}
