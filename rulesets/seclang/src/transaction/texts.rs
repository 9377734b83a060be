//! Transformed values, each computed once: a value through a chain of transformations is a text, and
//! chains that leave a value as it was share its text.

use std::ops::Range;

use super::values::{ValueId, Values};
use crate::byte_set::ByteSet;
use crate::prefilter::{Candidates, ORDINARY, Prefilter, Reach};
use crate::program::{NodeId, Nodes};
use crate::transformation::{Changed, Transformation};

/// A text's place in its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TextId(u32);

const UNKNOWN: u32 = u32::MAX;

#[derive(Debug)]
struct Text {
    value: ValueId,
    /// Nothing: the bytes of the value itself.
    own: Option<Range<usize>>,
    holds: ByteSet,
    length: usize,
    /// The conditions that what is known so far does not rule out: none that is special for a text of ordinary bytes,
    /// and none that asks for literals which were looked for and not found.
    possible: Candidates,
    /// How far literals were looked for.
    searched: Option<Reach>,
    /// The text of which it is the lower case: literals ignore letter case, so both hold the same.
    folded_from: Option<TextId>,
    /// The last text before this one that came from the same value.
    sibling: u32,
    /// The last row of `outputs` that tells what a transformation made of it.
    outputs: u32,
}

/// What a transformation made of a text: many chains apply the same one to it.
#[derive(Debug)]
struct Output {
    transformation: &'static Transformation,
    text: TextId,
    /// The row before it of the same text.
    before: u32,
}

/// On whose behalf texts are asked for conditions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) prefilter: &'a Prefilter,
    pub(crate) nodes: &'a Nodes,
    /// What the rules of the phase ask for.
    pub(crate) reach: Reach,
}

/// The texts of one transaction.
#[derive(Debug)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    texts: Vec<Text>,
    /// Per value, its own text; `UNKNOWN` until it is asked for.
    plain: Vec<u32>,
    /// Per value and chain that may change it, the text; `UNKNOWN` until it is asked for.
    known: Vec<u32>,
    /// Per value, the last text that came from it.
    last_of: Vec<u32>,
    outputs: Vec<Output>,
    out: Vec<u8>,
    /// The conditions that a text of ordinary bytes alone may satisfy.
    ordinary: Candidates,
    /// Steps of work since they were last taken.
    steps: usize,
}

impl Texts {
    pub(crate) fn new(prefilter: &Prefilter) -> Self {
        Self {
            bytes: Vec::new(),
            texts: Vec::new(),
            plain: Vec::new(),
            known: Vec::new(),
            last_of: Vec::new(),
            outputs: Vec::new(),
            out: Vec::new(),
            ordinary: Candidates::ALL.without(prefilter.special()),
            steps: 0,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.bytes.clear();
        self.texts.clear();
        self.plain.clear();
        self.known.clear();
        self.last_of.clear();
        self.outputs.clear();
        self.steps = 0;
    }

    /// The bytes of a text.
    pub(crate) fn bytes<'a>(&'a self, values: &'a Values, id: TextId) -> &'a [u8] {
        match self.texts.get(id.0 as usize) {
            None => b"",
            Some(Text { own: None, value, .. }) => values.value(*value),
            Some(Text { own: Some(range), .. }) => {
                self.bytes.get(range.clone()).unwrap_or_default()
            }
        }
    }

    /// The bytes that a text holds.
    pub(crate) fn holds(&self, id: TextId) -> &ByteSet {
        self.texts.get(id.0 as usize).map_or(&ByteSet::EMPTY, |text| &text.holds)
    }

    /// The work done since this was last asked, in bytes.
    pub(crate) fn take_steps(&mut self) -> usize {
        std::mem::take(&mut self.steps)
    }

    /// The text of a value through a chain. A chain of which no transformation finds its bytes in the value
    /// leaves it as it is: two loads and four words compared. Others are looked up, and computed once.
    #[inline]
    pub(crate) fn of(
        &mut self,
        nodes: &Nodes,
        values: &Values,
        value: ValueId,
        node: NodeId,
    ) -> TextId {
        let plain = match self.plain.get(value as usize) {
            Some(plain) if *plain != UNKNOWN => TextId(*plain),
            Some(_) | None => self.compute_plain(values, value),
        };
        let Some(row) = nodes.get(node) else { return plain };
        if row.triggers.is_some_and(|bytes| !bytes.meets(self.holds(plain))) {
            return plain;
        }
        self.changed(nodes, values, value, node)
    }

    /// The text of a value through a chain that may change it.
    #[inline(never)]
    fn changed(&mut self, nodes: &Nodes, values: &Values, value: ValueId, node: NodeId) -> TextId {
        let at = value as usize * nodes.len() + usize::from(node.0);
        match self.known.get(at) {
            Some(known) if *known != UNKNOWN => return TextId(*known),
            Some(_) => {}
            None => {
                self.known.resize((values.len() * nodes.len()).max(at + 1), UNKNOWN);
            }
        }
        let Some(row) = nodes.get(node) else { return TextId(UNKNOWN) };
        let before = self.of(nodes, values, value, row.parent);
        let text = self.transform(values, before, row.transformation);
        if let Some(slot) = self.known.get_mut(at) {
            *slot = text.0;
        }
        text
    }

    /// The text of the empty chain: the value as it came.
    #[inline(never)]
    fn compute_plain(&mut self, values: &Values, value: ValueId) -> TextId {
        let count = values.len().max(value as usize + 1);
        if self.plain.len() < count {
            self.plain.resize(count, UNKNOWN);
            self.last_of.resize(count, UNKNOWN);
        }
        let bytes = values.value(value);
        self.steps += bytes.len() / 4;
        let (holds, length) = (ByteSet::held_by(bytes), bytes.len());
        let text = self.push(value, None, holds, length);
        if let Some(slot) = self.plain.get_mut(value as usize) {
            *slot = text.0;
        }
        text
    }

    fn transform(
        &mut self,
        values: &Values,
        before: TextId,
        transformation: &'static Transformation,
    ) -> TextId {
        let Some(row) = self.texts.get(before.0 as usize) else { return before };
        if transformation.trigger.is_some_and(|trigger| !trigger.meets(&row.holds)) {
            return before;
        }
        let mut at = row.outputs;
        while let Some(output) = self.outputs.get(at as usize) {
            if std::ptr::eq(output.transformation, transformation) {
                return output.text;
            }
            at = output.before;
        }
        let text = self.apply(values, before, transformation);
        let number = u32::try_from(self.outputs.len()).unwrap_or(UNKNOWN);
        if let Some(row) = self.texts.get_mut(before.0 as usize) {
            let before = std::mem::replace(&mut row.outputs, number);
            self.outputs.push(Output { transformation, text, before });
        }
        text
    }

    fn apply(
        &mut self,
        values: &Values,
        before: TextId,
        transformation: &'static Transformation,
    ) -> TextId {
        let Some(row) = self.texts.get(before.0 as usize) else { return before };
        let value = row.value;
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let input = self.bytes(values, before);
        let steps = input.len() + 16;
        let changed = if transformation.leaves(input, &row.holds) {
            Changed::No
        } else {
            transformation.apply(input, &mut out)
        };
        self.steps += steps;
        let text = match changed {
            Changed::No => before,
            Changed::Yes => self.output(values, value, before, transformation, &out),
        };
        self.out = out;
        text
    }

    /// The text with these bytes: one of the same value when one is there, because chains often end alike.
    fn output(
        &mut self,
        values: &Values,
        value: ValueId,
        before: TextId,
        transformation: &'static Transformation,
        out: &[u8],
    ) -> TextId {
        let holds = ByteSet::held_by(out);
        let mut at = self.last_of.get(value as usize).copied().unwrap_or(UNKNOWN);
        while let Some(text) = self.texts.get(at as usize) {
            let alike = text.length == out.len() && text.holds == holds;
            if alike && self.bytes(values, TextId(at)) == out {
                return TextId(at);
            }
            at = text.sibling;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(out);
        let text = self.push(value, Some(start..start + out.len()), holds, out.len());
        if transformation.name == "lowercase"
            && let Some(row) = self.texts.get_mut(text.0 as usize)
        {
            row.folded_from = Some(before);
        }
        text
    }

    fn push(
        &mut self,
        value: ValueId,
        own: Option<Range<usize>>,
        holds: ByteSet,
        length: usize,
    ) -> TextId {
        let id = u32::try_from(self.texts.len()).unwrap_or(UNKNOWN);
        let mut sibling = UNKNOWN;
        if let Some(last) = self.last_of.get_mut(value as usize) {
            sibling = std::mem::replace(last, id);
        }
        let is_ordinary = !holds.meets(&ORDINARY.not());
        self.texts.push(Text {
            value,
            own,
            holds,
            length,
            possible: if is_ordinary { self.ordinary } else { Candidates::ALL },
            searched: None,
            folded_from: None,
            sibling,
            outputs: UNKNOWN,
        });
        TextId(id)
    }

    /// Whether a text satisfies a condition that a rule within reach asks for.
    pub(crate) fn satisfies(
        &mut self,
        asker: Asker<'_>,
        values: &Values,
        id: TextId,
        gate: u16,
    ) -> bool {
        let (word, bit) = (usize::from(gate / 64), 1 << (gate % 64));
        let open = self.texts.get(id.0 as usize).map_or(0, |text| text.possible.word(word) & bit);
        open != 0 && self.met(asker, values, id, word, open) != 0
    }

    /// Of conditions of a word, those that no text of some values through a chain satisfies. Most fall to one look
    /// at the word.
    pub(crate) fn unmet(
        &mut self,
        asker: Asker<'_>,
        values: &Values,
        ids: &[ValueId],
        node: NodeId,
        word: usize,
        mut open: u64,
    ) -> u64 {
        // Nothing: any value may change. The empty chain changes none.
        let triggers = match asker.nodes.get(node) {
            Some(row) => row.triggers,
            None => Some(ByteSet::EMPTY),
        };
        for id in ids {
            let plain = self.plain.get(*id as usize).copied().unwrap_or(UNKNOWN);
            let known = self.texts.get(plain as usize);
            let unchanged = known.filter(|text| {
                triggers.as_ref().is_some_and(|triggers| !triggers.meets(&text.holds))
            });
            let (text, possible) = match unchanged {
                Some(text) => (TextId(plain), text.possible.word(word)),
                None => self.possible(asker, values, *id, node, word),
            };
            if open & possible != 0 {
                open &= !self.met(asker, values, text, word, open & possible);
            }
        }
        open
    }

    /// The text of a value through a chain, and what is not ruled out for it.
    #[inline(never)]
    fn possible(
        &mut self,
        asker: Asker<'_>,
        values: &Values,
        id: ValueId,
        node: NodeId,
        word: usize,
    ) -> (TextId, u64) {
        let text = self.of(asker.nodes, values, id, node);
        (text, self.texts.get(text.0 as usize).map_or(0, |text| text.possible.word(word)))
    }

    /// Of conditions of a word that are not ruled out yet, those that a text satisfies: length and bytes are looked
    /// at one by one, and the literals of a text are looked for at most once for each reach.
    #[inline(never)]
    fn met(
        &mut self,
        asker: Asker<'_>,
        values: &Values,
        id: TextId,
        word: usize,
        asked: u64,
    ) -> u64 {
        let Some(text) = self.texts.get(id.0 as usize) else { return asked };
        let prefilter = asker.prefilter;
        self.steps += asked.count_ones() as usize;
        let fitting = prefilter.fitting(word, asked, text.length, &text.holds);
        if fitting & prefilter.asking().word(word) == 0 || text.searched >= Some(asker.reach) {
            return fitting;
        }
        fitting & self.search(prefilter, values, id, asker.reach).word(word)
    }

    /// Looks for the literals of a text, and rules out what asks for others.
    fn search(
        &mut self,
        prefilter: &Prefilter,
        values: &Values,
        id: TextId,
        reach: Reach,
    ) -> Candidates {
        let at = id.0 as usize;
        let original = self.texts.get(at).and_then(|text| text.folded_from);
        let possible = match original {
            // Literals ignore letter case, and both are ordinary or neither is.
            Some(original) => self.searched(prefilter, values, original, reach),
            None => {
                let bytes = self.bytes(values, id);
                let held = prefilter.with_literals(bytes, reach);
                self.steps += bytes.len();
                held
            }
        };
        let Some(text) = self.texts.get_mut(at) else { return Candidates::ALL };
        text.searched = Some(reach);
        text.possible = text.possible.and(&possible);
        text.possible
    }

    /// What is possible for a text once its literals have been looked for.
    fn searched(
        &mut self,
        prefilter: &Prefilter,
        values: &Values,
        id: TextId,
        reach: Reach,
    ) -> Candidates {
        match self.texts.get(id.0 as usize) {
            Some(text) if text.searched >= Some(reach) => text.possible,
            Some(_) => self.search(prefilter, values, id, reach),
            None => Candidates::ALL,
        }
    }
}
