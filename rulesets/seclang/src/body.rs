//! Body processors.

/// Which processor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Urlencoded,
    Multipart,
    Json,
    Xml,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) arguments: usize,
    pub(crate) depth: usize,
}

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) field: Vec<u8>,
    pub(crate) file_name: Vec<u8>,
    pub(crate) bytes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) arguments: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) files: Vec<File>,
    pub(crate) part_headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) xml_texts: Vec<Vec<u8>>,
    pub(crate) xml_attributes: Vec<Vec<u8>>,
    pub(crate) error: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Processor;

impl Processor {
    pub(crate) fn new(_kind: Kind, _content_type: &[u8], _limits: Limits) -> Self {
        Self
    }
    pub(crate) fn push(&mut self, _chunk: &[u8]) {}
    pub(crate) fn end(self) -> Parsed {
        Parsed { error: Some("this body is not parsed".to_owned()), ..Parsed::default() }
    }
}
