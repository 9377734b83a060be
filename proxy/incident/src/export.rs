//! A line of the event log in the fields of other systems: the Elastic Common Schema, the Open Cybersecurity Schema
//! Framework, the Common Event Format. What comes in is the line as it is logged, so that nothing is exported that is
//! not masked, and so that files of old are exported as well.

mod cef;
mod ecs;
mod ocsf;
mod said;

use portcullis_config::model::EventFormat;
use serde_json::Value;

use said::Said;

/// Who says it, in every format.
const PRODUCT: &str = "Portcullis";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes a line of the event log in a format, without the end of line.
#[must_use]
pub fn line(format: EventFormat, line: &Value) -> String {
    match format {
        EventFormat::Json => line.to_string(),
        EventFormat::Ecs => ecs::event(&Said::of(line)).to_string(),
        EventFormat::Ocsf => ocsf::event(&Said::of(line)).to_string(),
        EventFormat::Cef => cef::event(&Said::of(line)),
    }
}

/// Puts a value at a path of names with dots between; what is not known is not there.
fn put(object: &mut Value, path: &str, value: impl Into<Value>) {
    let value = value.into();
    if value.is_null() {
        return;
    }
    let mut at = object;
    for name in path.split('.') {
        at = &mut at[name];
    }
    *at = value;
}

#[cfg(test)]
mod tests;
