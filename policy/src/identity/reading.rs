//! What is read of claims at once, whatever becomes of them then: nobody looks for it in them again.

use std::ops::Range;

use super::mapping::{IdentityMapping, text_of};
use super::names::{Gathering, Names, Texts};
use crate::token::{Claim, ClaimsSet};

/// The names that rules and headers use, as one mapping finds them.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) email_is_verified: bool,
    pub(super) provider_session: Option<Box<str>>,
    /// The user, the e-mail address and the name, in this order; then those:
    texts: Texts,
    roles: Range<usize>,
    permissions: Range<usize>,
    scopes: Range<usize>,
}

impl Reading {
    pub(super) fn of(said: &impl ClaimsSet, mapping: &IdentityMapping) -> Self {
        let mut texts = Gathering::new(256, 16);
        texts.text(mapping.user.of(said).as_deref());
        texts.text(text_of(&mapping.email, said).as_deref());
        texts.text(text_of(&mapping.name, said).as_deref());
        let roles = texts.names(|each| mapping.each_role(said, &mut |role, _| each(role)));
        let permissions = texts.names(|each| {
            let mut each = |name: Option<&str>| name.into_iter().for_each(&mut *each);
            said.claim("permissions").into_iter().for_each(|claim| _ = claim.each_item(&mut each));
        });
        // RFC 6749 §3.3: names separated by single spaces.
        let scopes = texts.names(|each| said.text("scope").into_iter().flat_map(|names| names.split(' ')).for_each(each));
        Self {
            // The provider vouches for its own `email` claim, not for another that the operator chose.
            email_is_verified: mapping.email.as_str() == "email" && said.claim("email_verified").is_some_and(Claim::is_true),
            provider_session: said.text("sid").map(Into::into),
            texts: texts.done(),
            roles,
            permissions,
            scopes,
        }
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.texts.get(0)
    }

    pub(super) fn email(&self) -> Option<&str> {
        self.texts.get(1)
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.texts.get(2)
    }

    pub(super) fn roles(&self) -> Names<'_> {
        self.texts.names(self.roles.clone())
    }

    pub(super) fn permissions(&self) -> Names<'_> {
        self.texts.names(self.permissions.clone())
    }

    pub(super) fn scopes(&self) -> Names<'_> {
        self.texts.names(self.scopes.clone())
    }
}
