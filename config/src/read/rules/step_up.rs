//! A rule's `step_up`: how recent and how strong the sign-in must be (RFC 9470).

use doorward_policy::access::{Requirement, StepUp};

use super::super::field::Field;
use super::super::quantity::{days, seconds};

/// `allow`: who may at all, when that is known.
pub(super) fn read(field: &Field<'_>, allow: Option<&Requirement>) -> Option<StepUp> {
    let map = field.map()?;
    // Less would be over before the way back from the provider is.
    let max_age = map.maybe("max_age", |field| field.duration_in(seconds(30)..=days(30)));
    let acr_values = map.or("acr_values", Vec::new(), |field| {
        super::super::field::all(field.items_or_one()?.iter().map(|item| item.name().map(Into::into)))
    });
    map.finish(&[("acr", "write `acr_values: [ … ]`"), ("amr", "write `acr_values: [ … ]`"), ("age", "write `max_age: …`")]);
    let step_up = StepUp { max_age: max_age?, acr_values: acr_values? };
    if step_up == StepUp::default() {
        return field.refuse("it is not said what is asked of the sign-in", "write `max_age: 5m`, or `acr_values: [ … ]`, or both");
    }
    match allow? {
        Requirement::Nobody => field.refuse("nobody may, however they signed in", "take `step_up` away, or say who may"),
        allow if allow.is_anonymous() => {
            field.refuse("nobody has to sign in here, so nothing can be asked of it", "take `step_up` away, or write `allow: signed-in`")
        }
        Requirement::Public | Requirement::Optional | Requirement::SignedIn | Requirement::Needs(_) => Some(step_up),
    }
}
