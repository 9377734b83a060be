//! `load_test`.

use ipnet::IpNet;

use super::fields::Fields;
use super::{Context, keys, scalar, source};
use crate::diagnostic::Diagnostic;
use crate::model::{Environment, LoadTest};
use crate::yaml::Node;

/// Decodes `load_test`, which no other environment than staging may have.
pub(super) fn load_test(node: &Node, cx: &mut Context<'_>) -> Option<LoadTest> {
    let fields = Fields::open(node, &keys::LOAD_TEST, cx)?;
    let keys = fields.of("keys", cx, source::secret);
    let from = fields.of("from", cx, |node, cx| scalar::some_items(node, cx, generators));
    if cx.environment != Environment::Staging {
        let said = format!("limits are never lifted with `environment: {}`", cx.environment);
        let wrong = Diagnostic::error("load-test-outside-staging", said);
        let help = "take `load_test` out, and load-test in staging";
        cx.report(wrong.help(help), node.place());
        return None;
    }
    Some(LoadTest { keys: keys?, from: from? })
}

fn generators(node: &Node, cx: &mut Context<'_>) -> Option<IpNet> {
    let network = scalar::network(node, cx)?;
    if network.prefix_len() > 0 {
        return Some(network);
    }
    let said = format!("`{network}` would let every client lift its limits");
    let wrong = Diagnostic::error("trusts-everyone", said);
    cx.report(wrong.help("name the networks of your load generators"), node.value_place());
    None
}
