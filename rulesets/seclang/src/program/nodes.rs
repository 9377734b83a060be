//! The chains of transformations of all rules as one tree: chains share their prefixes.

use crate::byte_set::ByteSet;
use crate::transformation::Transformation;

/// A chain of transformations: a node of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct NodeId(pub(crate) u16);

/// One more transformation on top of another chain.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) parent: NodeId,
    pub(crate) transformation: &'static Transformation,
    /// The bytes without which the whole chain leaves a value as it is; nothing: any value may change.
    pub(crate) triggers: Option<ByteSet>,
}

/// The tree. Node 0 is the empty chain and has no row.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
}

impl Nodes {
    /// The empty chain.
    pub(crate) const ROOT: NodeId = NodeId(0);

    /// The chain that applies `transformation` after `parent`.
    pub(crate) fn child(
        &mut self,
        parent: NodeId,
        transformation: &'static Transformation,
    ) -> NodeId {
        let same = |node: &Node| {
            node.parent == parent && std::ptr::eq(node.transformation, transformation)
        };
        let at = self.nodes.iter().position(same).unwrap_or_else(|| {
            let before = self.get(parent).map_or(Some(ByteSet::EMPTY), |node| node.triggers);
            let triggers = before.zip(transformation.trigger).map(|(all, more)| all.or(more));
            self.nodes.push(Node { parent, transformation, triggers });
            self.nodes.len() - 1
        });
        NodeId(u16::try_from(at + 1).unwrap_or(u16::MAX))
    }

    /// The node; nothing for the empty chain.
    pub(crate) fn get(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(usize::from(id.0).checked_sub(1)?)
    }

    /// The number of chains, the empty one included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() + 1
    }

    /// The chains on the way to `id`, the empty one first, `id` last.
    pub(crate) fn path(&self, id: NodeId) -> Vec<NodeId> {
        let mut path = vec![id];
        let mut at = id;
        while let Some(node) = self.get(at) {
            at = node.parent;
            path.push(at);
        }
        path.reverse();
        path
    }
}
