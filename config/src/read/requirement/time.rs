//! `time`: on which days, and between which hours.

use doorward_policy::access::{TimeWindow, TimeWindowFault};

use super::super::field::{Field, all};
use crate::document::Value;

/// Most windows of a rule.
const LIMIT: usize = 32;

/// One window, or several of which any will do.
pub(super) fn read(field: &Field<'_>) -> Option<Vec<TimeWindow>> {
    if let Value::Map(_) = field.value() {
        return read_one(field).map(|window| vec![window]);
    }
    let items = field.items()?;
    if items.len() > LIMIT {
        return field.refuse(format!("more than {LIMIT} windows"), "several days share one: `days: [mon-fri]`");
    }
    all(items.iter().map(read_one))
}

fn read_one(field: &Field<'_>) -> Option<TimeWindow> {
    let map = field.map()?;
    let days = map.or("days", Vec::new(), |field| all(field.items_or_one()?.iter().map(Field::name)));
    let (from, to) = (map.maybe("from", Field::name), map.maybe("to", Field::name));
    let zone = match map.optional("zone") {
        Some(field) => field.name(),
        None => map.missing("zone", "say whose clock counts: `zone: Europe/Berlin`, or `zone: UTC`"),
    };
    map.finish(&[
        ("day", "write `days: [ … ]`"),
        ("hours", "write `from: \"08:00\"` and `to: \"18:00\"`"),
        ("start", "write `from: …`"),
        ("end", "write `to: …`"),
        ("timezone", "write `zone: …`"),
        ("tz", "write `zone: …`"),
    ]);
    let (days, from, to, zone) = (days?, from?, to?, zone?);
    if days.is_empty() && from.is_none() && to.is_none() {
        return field.refuse("it is always, everywhere", "add `days`, or `from` and `to`; or take `time` away");
    }
    let fault = match TimeWindow::parse(&days, from, to, zone) {
        Ok(window) => return Some(window),
        Err(fault) => fault,
    };
    let (key, help) = match &fault {
        TimeWindowFault::Day(_) => ("days", "`mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`, or from one to another: `mon-fri`"),
        TimeWindowFault::Clock(clock) => {
            let key = if from == Some(clock.as_str()) { "from" } else { "to" };
            (key, "hours and minutes, two digits each, in quotes: `\"08:00\"`")
        }
        TimeWindowFault::Zone(_) => ("zone", "an IANA name: `Europe/Berlin`, `America/New_York`, `UTC`"),
        TimeWindowFault::Empty => ("to", "one that passes midnight ends earlier than it begins: `from: \"22:00\"`, `to: \"06:00\"`"),
    };
    map.optional(key).unwrap_or_else(|| field.clone()).fault(&fault, help)
}
