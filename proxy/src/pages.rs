//! The pages that people see: plain HTML in the reader's language, no script, light and dark, narrow and wide.

mod language;
mod page;
pub mod samples;
mod templates;
#[cfg(test)]
mod tests;
mod views;
mod words;

use std::path::Path;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use minijinja::context;

pub use language::Language;
pub use page::Page;
pub use templates::PagesFault;
use templates::{SCRIPT, Templates};
pub use views::{
    Choice, DeniedPage, EmailForm, ErrorPage, Explained, FragmentPage, LoopCause, LoopPage, Missing, PickerPage, ProfileEntry, ResumePage,
    SessionEndedFormPage, ShownAttribute, SignOutPage, SignedOutPage, What, Who, WhoamiPage,
};
pub use words::Words;

use crate::reply::Reply;
use crate::respond::Face;

/// Compiled templates, the words to fill them, and the policy that lets them use exactly one style sheet.
pub struct Pages {
    templates: Templates,
    /// In the order of [`Language::ALL`].
    words: Vec<Words>,
    policy: HeaderValue,
    /// Of the one page that runs one script.
    policy_with_script: HeaderValue,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pages")
    }
}

impl Pages {
    /// Compiles the templates, and tries those that `folder` puts in the place of ours.
    /// `insecure_issuers` are providers on plain http (loopback), where sign-out may lead too.
    ///
    /// # Errors
    /// [`PagesFault`]; about a template, with file and line.
    pub fn new(insecure_issuers: &[&str], folder: Option<&Path>) -> Result<Self, PagesFault> {
        let templates = Templates::load(folder)?;
        let words = Words::all().map_err(PagesFault::Words)?;
        let policy = |script: Option<&str>| {
            // A page of the operator's own may show a logo; still nothing is fetched from anywhere.
            let images = if folder.is_some() { "; img-src data:" } else { "" };
            let script = script.map(|script| format!("; script-src '{}'", hash(script))).unwrap_or_default();
            // The sign-out form ends at the provider, and browsers hold `form-action` against every redirect on the way.
            let issuers: String = insecure_issuers.iter().map(|issuer| format!(" {issuer}")).collect();
            let text = format!(
                "default-src 'none'; style-src '{}'{script}{images}; form-action 'self' https:{issuers}; frame-ancestors 'none'; base-uri 'none'",
                hash(&templates.style)
            );
            HeaderValue::from_str(&text).map_err(|error| PagesFault::Words(format!("a provider's address: {error}")))
        };
        let (policy, policy_with_script) = (policy(None)?, policy(Some(SCRIPT))?);
        let pages = Self { templates, words, policy, policy_with_script };
        // Tests have tried ours.
        if folder.is_some() {
            pages.try_samples()?;
        }
        Ok(pages)
    }

    /// What does not work with every value and in every language is found now, not by somebody who is in need already.
    fn try_samples(&self) -> Result<(), PagesFault> {
        let mut fault = None;
        for language in Language::ALL {
            samples::each(&str::to_owned, &mut |_, page| {
                if let Err(error) = self.html(page, *language) {
                    fault.get_or_insert_with(|| self.templates.fault(page.template(), &error));
                }
            });
        }
        fault.map_or(Ok(()), Err)
    }

    /// The words of a language.
    pub fn words(&self, language: Language) -> &Words {
        // There is one for each language, in this order.
        &self.words[language as usize]
    }

    /// What scripts are told about a face: always English.
    pub fn message(&self, face: Face) -> &str {
        self.words(Language::English).face(face).1
    }

    pub fn error(&self, page: &ErrorPage<'_>, language: Language) -> Reply {
        self.show(Page::Error(page), language)
    }

    pub fn picker(&self, page: &PickerPage<'_>, language: Language) -> Reply {
        self.show(Page::Picker(page), language)
    }

    pub fn denied(&self, page: &DeniedPage<'_>, language: Language) -> Reply {
        self.show(Page::Denied(page), language)
    }

    pub fn looped(&self, page: &LoopPage<'_>, language: Language) -> Reply {
        self.show(Page::Loop(page), language)
    }

    /// Asks before signing out: the request did not come from our own pages.
    pub fn sign_out(&self, page: &SignOutPage<'_>, language: Language) -> Reply {
        self.show(Page::SignOut(page), language)
    }

    pub fn signed_out(&self, page: &SignedOutPage<'_>, language: Language) -> Reply {
        self.show(Page::SignedOut(page), language)
    }

    pub fn whoami(&self, page: &WhoamiPage, language: Language) -> Reply {
        self.show(Page::Whoami(page), language)
    }

    pub fn resume(&self, page: &ResumePage<'_>, language: Language) -> Reply {
        self.show(Page::Resume(page), language)
    }

    pub fn fragment(&self, page: &FragmentPage<'_>, language: Language) -> Reply {
        self.show(Page::Fragment(page), language)
    }

    pub fn session_ended_form(&self, page: &SessionEndedFormPage<'_>, language: Language) -> Reply {
        self.show(Page::SessionEndedForm(page), language)
    }

    /// Any page. Nobody may store it, so it needs no `Vary`.
    pub fn show(&self, page: Page<'_>, language: Language) -> Reply {
        let html = match self.html(page, language) {
            Ok(html) => html,
            Err(error) => {
                tracing::error!("a page could not be made: {}", self.templates.fault(page.template(), &error));
                return Reply::new(page.status());
            }
        };
        let policy = if matches!(page, Page::Fragment(_)) { &self.policy_with_script } else { &self.policy };
        let reply = Reply::html(page.status(), html, policy).field(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        let reply = if page.has_form() { reply.with_form() } else { reply };
        match page {
            // RFC 9110 §15.5.2: a 401 names a scheme.
            Page::Fragment(_) | Page::SessionEndedForm(_) => reply.field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            _ => reply,
        }
    }

    fn html(&self, page: Page<'_>, language: Language) -> Result<String, minijinja::Error> {
        let words = self.words(language);
        let values = context! { words => words.value(), language => language.tag(), ..page.values(words) };
        self.templates.render(page.template(), values)
    }
}

/// A source of a Content-Security-Policy: exactly this text.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
}
