//! `keep_form`, `keep_fragment`: what a person had before they were sent to sign in.

use super::super::field::Field;

/// `signs_in`: people come here with a session, as far as that is known. `only_asked`: another proxy forwards.
pub(super) fn read_form(field: &Field<'_>, signs_in: Option<bool>, only_asked: bool) -> Option<bool> {
    let keep = signs_in_first(field, signs_in)?;
    match keep && only_asked {
        true => field.refuse("without `upstream` no form comes by here", "the other proxy asks about a request, and keeps its content"),
        false => Some(keep),
    }
}

/// The same for what stands behind the `#`.
pub(super) fn read_fragment(field: &Field<'_>, signs_in: Option<bool>) -> Option<bool> {
    signs_in_first(field, signs_in)
}

fn signs_in_first(field: &Field<'_>, signs_in: Option<bool>) -> Option<bool> {
    let keep = field.boolean()?;
    match keep && !signs_in? {
        true => {
            field.refuse("nobody is sent to sign in from here", "it is for routes with a `provider` that accept sessions; leave it out")
        }
        false => Some(keep),
    }
}
