//! One expression of the Common Expression Language, parsed when its configuration came.
//! Spec: <https://github.com/google/cel-spec>; what it may speak of: Envoy's "Attributes".
//!
//! Not its evaluation: that is telemetry's, over a record.

use cel::Program;

#[derive(Debug)]
pub struct Expression {
    text: Box<str>,
    program: Program,
}

impl Expression {
    #[must_use]
    pub fn new(text: &str, program: Program) -> Self {
        Self { text: text.into(), program }
    }

    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }
}

/// The text is all there is to a program.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}
