//! Expressions: parsed, and held to what they may speak of. Envoy: `Expr::getBuilder`, "Attributes".
//!
//! One we cannot evaluate is unsupported, by name: it never quietly comes out false. A loop is refused too: it would run
//! for each request, over lists only the configuration can make long.

use super::problem::{Problem, Result, Warnings};
use crate::limits::{EXPRESSION_BYTES_MAX, REGEX_SIZE_BYTES_MAX};
use crate::model::expression::Expression;
use crate::telemetry::cel::attributes::{Known, known};
use cel::Program;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use std::sync::Arc;

/// Operators and functions of the standard library; anything else Envoy refuses as well.
const FUNCTIONS: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "dyn",
    "type",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfYear",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];
const OPERATORS: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];
/// `type(x) == string`.
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

pub(super) fn expression(text: &str, warnings: &mut Warnings) -> Result<Arc<Expression>> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(unsupported(text, "too long"));
    }
    let program = Program::compile(text).map_err(|errors| {
        let first = errors.errors.first().map_or_else(String::new, |error| error.msg.clone());
        unsupported(text, &first)
    })?;
    Check { text, warnings }.visit(program.expression())?;
    Ok(Arc::new(Expression::new(text, program)))
}

fn unsupported(text: &str, why: &str) -> Problem {
    let text: String = text.chars().take(100).collect();
    Problem::unsupported("unsupported_expression", format!("{text}: {why}"))
}

struct Check<'a> {
    text: &'a str,
    warnings: &'a mut Warnings,
}

impl Check<'_> {
    /// As deep as the parser goes, which is bounded.
    fn visit(&mut self, expr: &IdedExpr) -> Result<()> {
        match &expr.expr {
            Expr::Ident(name) => self.attribute(name, None),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(root) => self.attribute(root, Some(&select.field)),
                _ => self.visit(&select.operand),
            },
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => self.visit(&entry.key).and_then(|()| self.visit(&entry.value)),
                EntryExpr::StructField(_) => Err(unsupported(self.text, "makes a message")),
            }),
            Expr::Literal(_) => Ok(()),
            Expr::Comprehension(_) => Err(unsupported(self.text, "loops")),
            Expr::Struct(_) => Err(unsupported(self.text, "makes a message")),
            Expr::Unspecified => Err(unsupported(self.text, "empty")),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Result<()> {
        let name = call.func_name.as_str();
        if !FUNCTIONS.contains(&name) && !OPERATORS.contains(&name) {
            return Err(unsupported(self.text, &format!("unknown function {name}")));
        }
        if let (operators::INDEX, [root, key]) = (name, call.args.as_slice())
            && let (Expr::Ident(root), Expr::Literal(LiteralValue::String(key))) = (&root.expr, &key.expr)
        {
            return self.attribute(root, Some(key.inner()));
        }
        if name == "matches" {
            self.pattern(call.args.last())?;
        }
        call.target.iter().try_for_each(|target| self.visit(target))?;
        call.args.iter().try_for_each(|argument| self.visit(argument))
    }

    /// Compiled anew by each evaluation, so neither long nor a client's.
    fn pattern(&self, argument: Option<&IdedExpr>) -> Result<()> {
        let Some(Expr::Literal(LiteralValue::String(pattern))) = argument.map(|argument| &argument.expr)
        else {
            return Err(unsupported(self.text, "its pattern is not a literal"));
        };
        let checked = regex::RegexBuilder::new(pattern.inner()).size_limit(REGEX_SIZE_BYTES_MAX).build();
        checked.map(|_| ()).map_err(|_| unsupported(self.text, "bad pattern"))
    }

    fn attribute(&mut self, root: &str, field: Option<&str>) -> Result<()> {
        let name = || field.map_or_else(|| root.to_owned(), |field| format!("{root}.{field}"));
        match known(root, field) {
            Known::Yes => Ok(()),
            Known::WithoutValue => {
                self.warnings.push(format!("attribute {} of expressions has no value here", name()));
                Ok(())
            }
            Known::No if field.is_none() && TYPES.contains(&root) => Ok(()),
            Known::No => Err(unsupported(self.text, &format!("unknown attribute {}", name()))),
        }
    }
}

#[cfg(test)]
mod tests;
