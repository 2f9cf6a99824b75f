//! `audit_log`: where it is written down who signed in and what was refused.

use super::super::field::Field;
use crate::document::Value;
use crate::settings::AuditLog;

const HELP: &str = "write `stdout`, or `{ file: /var/log/doorward/audit.jsonl }`";

/// Whether the file can be written is known where it is opened: `check` may run elsewhere, as somebody else.
pub(super) fn read(field: &Field<'_>) -> Option<AuditLog> {
    match field.value() {
        Value::Map(_) => {
            let map = field.map()?;
            let file = map.required("file").and_then(|field| {
                let path = field.reading.resolve(field.text()?);
                match path.is_dir() || field.shown().ends_with('/') {
                    true => field.refuse(format!("`{}` is a folder", path.display()), "name a file in it"),
                    false => Some(AuditLog::File(path)),
                }
            });
            map.finish(&[("path", "write `file: …`"), ("dir", "write `file: …`")]);
            file
        }
        Value::Text(_) => match field.any_text()? {
            "stdout" => Some(AuditLog::Stdout),
            text if text.contains(['/', '.']) => {
                field.refuse(format!("`{}` is not one of `stdout` or a map", field.shown()), format!("write `{{ file: {text} }}`"))
            }
            _ => field.refuse(format!("`{}` is no place for the audit log", field.shown()), HELP),
        },
        Value::Bool(false) => field.refuse("it is off unless it is written", "take the key away"),
        Value::Broken => None,
        _ => field.refuse("it is not said where it is written", HELP),
    }
}
